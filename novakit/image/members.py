"""With whom images are shared, and whether they want them."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Protocol

import attrs

from novakit import errors, world
from novakit.config import ImageOptions
from novakit.context import RequestContext
from novakit.image import limits
from novakit.store import Store
from novakit.store import images as table
from novakit.store.engine import Session


@attrs.frozen(kw_only=True)
class Member:
    """A project that an image is shared with."""

    image_id: str
    member_id: str
    status: str
    """Whether it wants the image: pending, accepted or rejected."""
    created_at: datetime
    updated_at: datetime


class SharesImages(Protocol):
    """What members ask of the images: `Images` of the image service."""

    @property
    def store(self) -> Store: ...

    @property
    def limits(self) -> ImageOptions: ...

    def forget(self) -> None:
        """Ask the store again about every image: something changed."""

    async def visible(self, context: RequestContext, image_id: str) -> table.ImageRow:
        """Return an image's row to who may see it. Raises NotFound for others."""

    async def owned(
        self, session: Session, context: RequestContext, image_id: str, row: table.ImageRow | None, rule: str
    ) -> table.ImageRow:
        """Return the row to its owner, who may do what `rule` is about. Raises Forbidden, NotFound."""


@attrs.frozen
class Members:
    """The projects that see a shared image besides its owner."""

    images: SharesImages

    async def every(self, context: RequestContext, image_id: str) -> Sequence[Member]:
        """List with whom an image is shared; a member sees itself alone."""
        row = await self.images.visible(context, image_id)
        if row["visibility"] != "shared":
            raise errors.Forbidden("Only shared images have members.")
        async with self.images.store.read() as session:
            members = [Member(**one) for one in await table.members_of(session, image_id)]
        if context.is_admin or row["owner"] == context.project_id:
            return members
        return [member for member in members if member.member_id == context.project_id]

    async def share(self, context: RequestContext, image_id: str, member_id: str) -> Member:
        """Share an image with a project, which then may accept it."""
        now = world.now()
        member = Member(image_id=image_id, member_id=member_id, status="pending", created_at=now, updated_at=now)
        async with self.images.store.write() as session:
            session.after_commit(self.images.forget)
            image = await self.images.owned(
                session, context, image_id, await table.locked(session, image_id), "add_member"
            )
            if image["visibility"] != "shared":
                raise errors.Forbidden("Only shared images have members; set the visibility to shared first.")
            if not image["was_open"]:
                await limits.require_opening(session, image["owner"])
            await limits.require_member(session, self.images.limits, image["owner"], image_id)
            await table.share(session, attrs.asdict(member))
        return member

    async def answer(self, context: RequestContext, image_id: str, member_id: str, status: str) -> None:
        """Record whether a member accepts an image; only the member itself decides."""
        await self.images.visible(context, image_id)
        if member_id != context.project_id and not context.is_admin:
            raise errors.Forbidden("Only the member decides whether it accepts an image.")
        await self._member_write(
            image_id,
            member_id,
            lambda session: table.update_member(
                session, image_id, member_id, {"status": status, "updated_at": world.now()}
            ),
        )

    async def unshare(self, context: RequestContext, image_id: str, member_id: str) -> None:
        """Stop sharing an image with a project."""
        async with self.images.store.read() as session:
            await self.images.owned(
                session, context, image_id, await table.visible(session, image_id, None, True), "delete_member"
            )
        await self._member_write(image_id, member_id, lambda session: table.unshare(session, image_id, member_id))

    async def _member_write(self, image_id: str, member_id: str, work: Callable[[Session], Awaitable[bool]]) -> None:
        async with self.images.store.write() as session:
            session.after_commit(self.images.forget)
            found = await work(session)
        if not found:
            raise errors.NotFound(f"{member_id} is not a member of image {image_id}.")
