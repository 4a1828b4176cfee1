"""How much one project may keep in the image service; held by what is stored, and by all who ask at once."""

from novakit import errors
from novakit.config import ImageOptions
from novakit.store import images as table
from novakit.store import quota
from novakit.store.engine import Session


async def require_image(session: Session, limits: ImageOptions, owner: str) -> None:
    """Go on only where a project may have one image more. Raises TooLarge."""
    await quota.hold(session, "images", [owner])
    if quota.exceeds(limits.images_each, (await table.usage(session, owner))[0]):
        raise errors.TooLarge(f"The project has {limits.images_each} images and may have no more; delete some first.")


async def require_bytes(session: Session, limits: ImageOptions, owner: str, more: int) -> None:
    """Go on only where a project may store so many bytes more. Raises TooLarge."""
    await quota.hold(session, "image_bytes", [owner])
    used = (await table.usage(session, owner))[1]
    if quota.exceeds(limits.bytes_each, used, more):
        raise errors.TooLarge(
            f"The project may keep {limits.bytes_each} bytes of images; {used} are used, and {more} do not fit."
        )


async def require_member(session: Session, limits: ImageOptions, image_id: str) -> None:
    """Go on only where an image may be shared with one project more. Raises TooLarge."""
    await quota.hold(session, "image_members", [image_id])
    if quota.exceeds(limits.members_each, len(await table.members_of(session, image_id))):
        raise errors.TooLarge(f"The image is shared with {limits.members_each} projects, and no more may be.")
