"""How much one project may keep in the image service; held by what is stored, and by all who ask at once.

The options say what every project may keep, a row what an operator lets one keep instead.
"""

from collections.abc import Mapping

import attrs

from novakit import errors
from novakit.config import ImageOptions
from novakit.store import Store, quota
from novakit.store import images as table
from novakit.store.engine import Session

IMAGES, BYTES, MEMBERS, OPENED = "images", "image_bytes", "image_members", "image_openings"


def defaults(options: ImageOptions) -> dict[str, int]:
    """Return the limits of a project that nobody changed."""
    return {IMAGES: options.images_each, BYTES: options.bytes_each, MEMBERS: options.members_each}


async def of_project(session: Session, options: ImageOptions, project_id: str | None) -> dict[str, int]:
    """Return the limits of a project; -1 means no limit, and None is for images of no project."""
    changed = {} if project_id is None else await table.LIMITS.of(session, project_id)
    return {**defaults(options), **changed}


async def require_image(session: Session, options: ImageOptions, owner: str) -> None:
    """Go on only where a project may have one image more. Raises TooLarge."""
    await quota.hold(session, IMAGES, [owner])
    limit = (await of_project(session, options, owner))[IMAGES]
    if quota.exceeds(limit, (await table.usage(session, owner))[0]):
        raise errors.TooLarge(f"The project may have at most {limit} images; delete some first.")


MOST_OPENED = 5000
"""Images that one project may let others see, deleted ones included: their ids stay taken, so nothing may make more."""


async def require_opening(session: Session, owner: str | None) -> None:
    """Go on only where a project may let others see one image more. Raises TooLarge."""
    await quota.hold(session, OPENED, [owner or ""])
    if await table.opened(session, owner) >= MOST_OPENED:
        raise errors.TooLarge(
            f"The project has shared or published {MOST_OPENED} images, the most that it may; deleted ones count until "
            "their ids are free again, so try again later."
        )


async def require_bytes(session: Session, options: ImageOptions, owner: str | None, more: int) -> None:
    """Go on only where a project may store so many bytes more. Raises TooLarge."""
    await quota.hold(session, BYTES, [owner or ""])
    limit = (await of_project(session, options, owner))[BYTES]
    used = (await table.usage(session, owner))[1]
    if quota.exceeds(limit, used, more):
        raise errors.TooLarge(
            f"The project may keep {limit} bytes of images and keeps {used}; {more} more do not fit, so delete some."
        )


async def require_member(session: Session, options: ImageOptions, owner: str | None, image_id: str) -> None:
    """Go on only where an image may be shared with one project more. Raises TooLarge."""
    await quota.hold(session, MEMBERS, [image_id])
    limit = (await of_project(session, options, owner))[MEMBERS]
    if quota.exceeds(limit, len(await table.members_of(session, image_id))):
        raise errors.TooLarge(f"An image may be shared with at most {limit} projects; remove a member first.")


@attrs.frozen
class ImageQuotas:
    """What projects may keep of images, and what they do."""

    store: Store
    options: ImageOptions

    async def limits_and_uses(self, project_id: str) -> tuple[Mapping[str, int], Mapping[str, int]]:
        """Return the limits of a project, and what it uses of those that count the project's own."""
        async with self.store.read() as session:
            limits = await of_project(session, self.options, project_id)
            images, size = await table.usage(session, project_id)
        return limits, {IMAGES: images, BYTES: size}

    async def change(self, project_id: str, values: Mapping[str, int]) -> None:
        """Set limits of a project; the others stay. One below what is in use keeps the project from storing more."""
        async with self.store.write() as session:
            await table.LIMITS.put(session, project_id, values)

    async def reset(self, project_id: str) -> None:
        """Give a project the defaults again."""
        async with self.store.write() as session:
            await table.LIMITS.reset(session, project_id)
