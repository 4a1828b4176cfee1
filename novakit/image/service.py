"""Images: who may see, change, fill, read and share them.

The idea: an image is a row, and its bytes are a file that is written once and never changed. So a row that is known is
kept for `STALENESS` seconds, and a file is given out without asking again.
The invariant: a row names a file only after the file is whole and flushed, and a file goes after its row is gone; what
was cut off in between has a name of which `open` can tell that it is left over. A row that was read before a change in
this process is not kept after it (`_forgot`). Who may not see an image hears that there is none.
The cost: one statement to show an image, none within `STALENESS`; three to make or delete one. An upload takes six
statements, and 4 ms of CPU for each MiB, which is written, digested three times and inspected in one pass.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path

import attrs
import structlog

from novakit import durable, errors, world
from novakit.config import ImageOptions
from novakit.context import RequestContext, Target
from novakit.disk import Disk
from novakit.disk.pieces import PIECE, pieces
from novakit.disk_images import CONTAINERS, FORMATS, Inspection
from novakit.image import files, limits
from novakit.image.limits import ImageQuotas
from novakit.image.members import Members
from novakit.image.records import DEACTIVATED, Image, ImageFile, ImageValues, NewImage, columns, document, record
from novakit.image.records import values as values_of
from novakit.store import Store
from novakit.store import images as table
from novakit.store.engine import Session

log = structlog.get_logger(__name__)

WantedImages = table.ImageQuery
"""What a list of images can be asked for."""
OPERATORS, SORTABLE = table.OPERATORS, table.SORTABLE
STALENESS = 1.0
"""Seconds for which `Images.get` believes what it knows."""
CACHED = 1024
"""Images that are remembered; when there are more, all are forgotten."""
MAX_PROPERTIES = 128
"""Glance's own default (image_property_quota)."""
MAX_TAGS = 128
"""Glance's own default (image_tag_quota)."""
MAX_PROPERTY_BYTES = 1 << 18
"""Bytes of names and values of all properties of one image; patches add up, so the size of a body bounds nothing."""

ImageEdit = Callable[[ImageValues], ImageValues]
"""Gives what is to be said of an image, from what is said of it."""


@attrs.define
class Images:
    """The images of the cloud: rows in the store, files in a directory."""

    store: Store
    directory: Path
    disk: Disk | None = None
    """Where the directory is, to refuse uploads before it is full."""
    max_size: int = 1 << 40
    """Bytes that one image may have."""
    limits: ImageOptions = attrs.field(factory=ImageOptions)
    """What one project may keep."""
    _known: dict[tuple[str, str | None], tuple[float, Image]] = attrs.field(factory=dict, init=False)
    _forgot: int = attrs.field(default=0, init=False)
    """How often something changed here: what was read before a change is not kept after it."""
    members: Members = attrs.field(init=False)
    quotas: ImageQuotas = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.members = Members(self)
        self.quotas = ImageQuotas(self.store, self.limits)

    async def open(self) -> None:
        """Make the directory, remove what killed uploads and deletions left, and tell of files that no row names."""
        await asyncio.to_thread(durable.directory, self.directory, mode=0o750)
        removed = await files.collect(self.directory, self.file_names)
        if removed:
            log.info("removed image files of uploads and deletions that were cut off", files=removed)
        if left := await self.strangers():
            log.warning(
                "image files without a row are left alone; see `novakit image strangers`",
                files=left[:10],
                count=len(left),
            )

    async def strangers(self) -> list[str]:
        """Name the files in the image directory that no row names: of a lost database, or newer than a backup."""
        return [files.shown(name) for name in await files.strangers(self.directory, self.file_names)]

    async def damaged(self) -> Mapping[str, tuple[str, str]]:
        """Name the files whose size is not that of what was uploaded: by image, the file's name and what it has.

        A process that has no directory of images names none.
        """
        async with self.store.read() as session:
            rows = await table.stored(session)

        def look() -> dict[str, tuple[str, str]]:
            if not self.directory.is_dir():
                return {}
            found = {row["id"]: (row["file_name"], row["size"]) for row in rows}
            seen = {id: (name, files.damage(self.directory / name, size)) for id, (name, size) in found.items()}
            return {id: (name, what) for id, (name, what) in seen.items() if what is not None}

        return await asyncio.to_thread(look)

    async def file_names(self) -> set[str]:
        """Return the names of all files that belong to an image."""
        async with self.store.read() as session:
            return await table.file_names(session)

    async def show(self, context: RequestContext, image_id: str) -> Mapping[str, object]:
        """Return an image as the image API shows it. Raises NotFound where the caller cannot see it."""
        return document(await self.visible(context, image_id))

    async def get(self, context: RequestContext, image_id: str) -> Image:
        """Return an image as a record. Raises NotFound where the caller cannot see it.

        What another process changed may be missed for `STALENESS` seconds: who boots from an image asks often, and
        the bytes of an image never change.
        """
        viewer = None if sees_all(context) else context.project_id or ""
        known = self._known.get((image_id, viewer))
        if known and world.monotonic() - known[0] < STALENESS:
            return known[1]
        forgot = self._forgot
        image = record(await self.visible(context, image_id))
        if forgot != self._forgot:
            return image
        if len(self._known) >= CACHED:
            self.forget()
        # What one may see the service sees, too: the build of a server reads the image that its request has named.
        self._known[image_id, viewer] = self._known[image_id, None] = (world.monotonic(), image)
        return image

    def forget(self) -> None:
        """Ask the store again about every image: something changed."""
        self._forgot += 1
        self._known.clear()

    async def list_names(self, context: RequestContext, ids: Collection[str]) -> dict[str, str]:
        """Return the names of those of the images that exist."""
        if not ids:
            return {}
        async with self.store.read() as session:
            return await table.names(session, set(ids))

    async def list(self, wanted: table.ImageQuery) -> Sequence[Mapping[str, object]]:
        """Return one page of images as the image API shows them."""
        async with self.store.read() as session:
            return [document(row) for row in await table.listed(session, wanted)]

    async def visible(self, context: RequestContext, image_id: str) -> table.ImageRow:
        """Return an image's row. Raises NotFound for callers who may not see it."""
        async with self.store.read() as session:
            return await _visible(session, context, image_id)

    async def file(self, context: RequestContext, image_id: str) -> ImageFile | None:
        """Return where an image's bytes are, or None while it has none."""
        row = await self.visible(context, image_id)
        _require(context, "download_image", row)
        if row["file_name"] is None:
            return None
        if row["status"] == DEACTIVATED and not context.is_admin:
            raise errors.Forbidden(f"Image {image_id} is deactivated; ask an administrator to reactivate it.")
        path = self.directory / row["file_name"]
        if (what := await asyncio.to_thread(files.damage, path, row["size"])) is not None:
            log.error("the file of an image is not what was uploaded", image=image_id, file=str(path), what=what)
            raise errors.Conflict(
                f"The data of image {image_id} {what}, so it cannot be downloaded. Ask the operator to restore its "
                "file from a backup, or upload the image anew."
            )
        # Written together with the name of the file, in one statement.
        assert row["disk_format"] and row["size"] is not None and row["sha256"] and row["checksum"]
        return ImageFile(
            path=path,
            format=row["disk_format"],
            size=row["size"],
            sha256=row["sha256"],
            checksum=row["checksum"],
        )

    async def create(self, context: RequestContext, new: NewImage) -> Mapping[str, object]:
        """Make an image without bytes. Returns it as the image API shows it."""
        owner = new.owner or context.project_id
        if not owner:
            raise errors.Forbidden("An image belongs to a project, and the token is for none; log in to a project.")
        if owner != context.project_id and not context.is_admin:
            raise errors.Forbidden("You are not permitted to create images owned by others.")
        _require_may_show(context, new.visibility, owner)
        _check(new)
        async with self.store.write() as session:
            row = await self.add(session, new, owner)
        return document(row)

    async def add(self, session: Session, new: NewImage, owner: str) -> Mapping[str, object]:
        """Insert an image without bytes, of values that were looked at. Raises Conflict, and TooLarge."""
        now = world.now()
        row = {
            **columns(new),
            "id": (new.id or world.new_id()).lower(),
            "owner": owner,
            "status": "queued",
            "created_at": now,
            "updated_at": now,
            **dict.fromkeys(("size", "virtual_size", "checksum", "os_hash_value", "sha256", "file_name")),
        }
        await limits.require_image(session, self.limits, owner)
        if new.visibility in table.OPEN:
            await limits.require_opening(session, owner)
        await table.create(session, row)
        return row

    async def update(self, context: RequestContext, image_id: str, change: ImageEdit) -> Mapping[str, object]:
        """Change an image in one transaction. Raises Forbidden for whom it does not belong to."""
        async with self.store.write() as session:
            session.after_commit(self.forget)
            row = await table.locked(session, image_id)
            before = await self.owned(session, context, image_id, row, "modify_image")
            after = change(values_of(before))
            owner = self._require_allowed(context, before, after)
            if after.visibility in table.OPEN and not before["was_open"]:
                await limits.require_opening(session, owner)
            changed = {**columns(after), "updated_at": world.now()}
            await table.update(session, image_id, changed)
        return document({**before, **changed})

    def _require_allowed(self, context: RequestContext, before: table.ImageRow, after: ImageValues) -> str | None:
        """Return whose image it is then. Raises Forbidden and BadRequest for what may not be."""
        owner = after.owner or before["owner"]
        if after.visibility != before["visibility"]:
            _require_may_show(context, after.visibility, owner)
        if after.owner != before["owner"]:
            if not context.is_admin:
                raise errors.Forbidden("Only an administrator may give an image to another project.")
            if not after.owner:
                raise errors.BadRequest("The owner of an image cannot be empty; send the id of a project.")
        formats = {
            "disk_format": (before["disk_format"], after.disk_format),
            "container_format": (before["container_format"], after.container_format),
        }
        for name, (old, new) in formats.items():
            if new != old and before["status"] != "queued":
                raise errors.Forbidden(f"Attribute {name} can be replaced only for a queued image.")
        _check(after)
        return owner

    async def owned(
        self, session: Session, context: RequestContext, image_id: str, row: table.ImageRow | None, rule: str
    ) -> table.ImageRow:
        """Return the row to its owner, who may do what `rule` is about.

        Asks within the caller's transaction: one that waits for a second connection can wait for itself.
        Raises Forbidden for others who can see it, NotFound for the rest.
        """
        if row is not None and (context.is_admin or (row["owner"] and row["owner"] == context.project_id)):
            _require(context, rule, row)
            return row
        await _visible(session, context, image_id)
        raise errors.Forbidden(f"Image {image_id} belongs to another project; only its owner may change it.")

    async def delete(self, context: RequestContext, image_id: str) -> None:
        """Remove an image, first its row and then its file; raise `Forbidden` for a protected one."""
        async with self.store.write() as session:
            session.after_commit(self.forget)
            row = await self.owned(session, context, image_id, await table.locked(session, image_id), "delete_image")
            if row["protected"]:
                raise errors.Forbidden(f"Image {image_id} is protected and cannot be deleted.")
            if row["file_name"]:
                await asyncio.to_thread(files.doom, self.directory / row["file_name"])
                session.followed_by(partial(asyncio.to_thread, files.remove, self.directory / row["file_name"]))
            await table.delete(session, image_id, world.now())

    async def set_active(self, context: RequestContext, image_id: str, active: bool) -> None:
        """Allow or forbid the use of an image that has its data; raise `Forbidden` for one that is still queued."""
        async with self.store.write() as session:
            session.after_commit(self.forget)
            rule = "reactivate" if active else "deactivate"
            row = await self.owned(session, context, image_id, await table.locked(session, image_id), rule)
            if row["status"] == "queued":
                raise errors.Forbidden(f"Image {image_id} has no data yet; upload it first.")
            status = "active" if active else DEACTIVATED
            await table.update(session, image_id, {"status": status, "updated_at": world.now()})

    async def upload(
        self,
        context: RequestContext,
        image_id: str,
        pieces: AsyncIterator[bytes],
        *,
        announced: int | None = None,
    ) -> Image:
        """Fill a queued image with bytes and make it active; whatever fails leaves it queued, with no file."""
        async with self.store.read() as session:
            row = await table.visible(session, image_id, None, True)
            row = await self.owned(session, context, image_id, row, "upload_image")
        _require(context, "upload_image", row)
        if row["status"] != "queued":
            raise errors.Conflict(f"Image {image_id} is {row['status']}; only a queued image takes data.")
        if row["disk_format"] is None or row["container_format"] is None:
            raise errors.BadRequest("Set disk_format and container_format of the image before its data.")
        self._require_fits(0, announced or 0)
        async with self.store.write() as session:
            await limits.require_bytes(session, self.limits, row["owner"], announced or 1)
        encrypted = row["properties"].get("os_encrypt_format", "").lower() == "luks"
        draft = await files.Upload.begin(self.directory, image_id, Inspection(row["disk_format"], encrypted))
        try:
            await self._receive(draft, pieces)
            stored = await draft.finish()
            async with self.store.write() as session:
                session.after_commit(self.forget)
                # Not after this block: a client that hangs up during the commit would take the file with it.
                session.after_commit(draft.keep)
                await self.activate(session, image_id, stored, row["disk_format"])
        finally:
            await draft.close()
        return await self.get(context, image_id)

    async def _receive(self, draft: files.Upload, pieces: AsyncIterator[bytes]) -> None:
        waiting = bytearray()
        async for piece in pieces:
            waiting += piece
            if len(waiting) >= PIECE:
                self._require_fits(draft.size, len(waiting))
                await draft.write(bytes(waiting))
                waiting.clear()
        if waiting:
            self._require_fits(draft.size, len(waiting))
            await draft.write(bytes(waiting))

    def _require_fits(self, written: int, more: int) -> None:
        if written + more > self.max_size:
            raise errors.TooLarge(f"An image may have at most {self.max_size} bytes here; upload a smaller one.")
        if self.disk is not None:
            self.disk.require_for_content(more)

    async def activate(self, session: Session, image_id: str, stored: files.Stored, declared: str) -> None:
        """Make a queued image active with a file that was judged. Raises Gone, Conflict, and TooLarge."""
        values = {
            "size": stored.size,
            "virtual_size": stored.virtual_size,
            "checksum": stored.md5,
            "os_hash_value": stored.sha512,
            "sha256": stored.sha256,
            "file_name": stored.name,
            "updated_at": world.now(),
        }
        row = await table.locked(session, image_id)
        if row is None:
            raise errors.Gone(f"Image {image_id} was deleted during the upload, so its data was not kept.")
        await limits.require_bytes(session, self.limits, row["owner"], stored.size)
        if row["disk_format"] != declared or not await table.activate(session, image_id, values):
            raise errors.Conflict(
                f"Image {image_id} was changed by another request during the upload, so this data was not kept; "
                "upload it again if the image is still queued."
            )

    async def ingest(
        self,
        context: RequestContext,
        *,
        name: str,
        path: Path,
        disk_format: str,
        visibility: str = "private",
        properties: Mapping[str, str] | None = None,
        min_disk: int = 0,
        min_ram: int = 0,
    ) -> Image:
        """Store a local file as a new image; one that is refused leaves nothing behind."""
        new = NewImage(
            name=name,
            disk_format=disk_format,
            container_format="bare",
            visibility=visibility,
            properties=dict(properties or {}),
            min_disk=min_disk,
            min_ram=min_ram,
        )
        image_id = str((await self.create(context, new))["id"])
        try:
            return await self.upload(context, image_id, pieces(path))
        except BaseException:
            await self.delete(context, image_id)
            raise


def sees_all(context: RequestContext) -> bool:
    """Return whether the caller sees every project's images."""
    return context.is_admin


async def _visible(session: Session, context: RequestContext, image_id: str) -> table.ImageRow:
    row = await table.visible(session, image_id, context.project_id, sees_all(context))
    if row is None:
        raise _missing(image_id)
    return row


def _missing(image_id: str) -> errors.NotFound:
    return errors.NotFound(f"No image found with ID {image_id}.")


def _require(context: RequestContext, rule: str, row: table.ImageRow, member_id: str | None = None) -> None:
    """Ask the policy about an image that is there. Raises Forbidden."""
    kind = row["properties"].get("image_type", "")
    target: dict[str, str | bool | None] = {"visibility": row["visibility"], "image_type": kind}
    if row["owner"]:
        target |= {"project_id": row["owner"], "tenant_id": row["owner"], "owner": row["owner"]}
    if member_id is not None:
        target["member_id"] = member_id
    _ask(context, rule, target)


def _require_may_show(context: RequestContext, visibility: str | None, owner: str | None) -> None:
    """Ask the policy before an image is shown to everybody. Raises Forbidden."""
    rules = {"public": "publicize_image", "community": "communitize_image"}
    if visibility in rules:
        _ask(context, rules[visibility], {"project_id": owner, "tenant_id": owner, "visibility": visibility})


def _ask(context: RequestContext, rule: str, target: Target) -> None:
    if not context.may(rule, target):
        raise errors.Forbidden(f"You are not authorized to complete {rule} action.")


def _check(said: ImageValues) -> None:
    """Refuse what this service could not keep or would not know how to inspect."""
    formats = (("disk_format", said.disk_format, FORMATS), ("container_format", said.container_format, CONTAINERS))
    for name, value, known in formats:
        if value is not None and value not in known:
            raise errors.BadRequest(f"Invalid {name} {value!r}; this cloud takes {', '.join(known)}.")
    if len(said.properties) > MAX_PROPERTIES:
        raise errors.TooLarge(f"The limit of {MAX_PROPERTIES} properties of an image has been exceeded; remove some.")
    size = sum(len(text.encode(errors="replace")) for pair in said.properties.items() for text in pair)
    if size > MAX_PROPERTY_BYTES:
        raise errors.TooLarge(f"The properties of an image may have {MAX_PROPERTY_BYTES} bytes in all, not {size}.")
    if len(said.tags) > MAX_TAGS:
        raise errors.TooLarge(f"The limit of {MAX_TAGS} tags of an image has been exceeded; remove some.")
