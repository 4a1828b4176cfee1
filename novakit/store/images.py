"""Images: what is known of them, and with whom they are shared. Their bytes are files."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, TypedDict

import attrs
import sqlalchemy as sa

from novakit import errors
from novakit.store.engine import Session
from novakit.store.moments import second_of
from novakit.store.quota import ProjectLimits
from novakit.store.schema import UTC, metadata, uuid_column

images = sa.Table(
    "images",
    metadata,
    uuid_column("id", primary_key=True),
    sa.Column("name", sa.String(255)),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("disk_format", sa.String(16)),
    sa.Column("container_format", sa.String(16)),
    sa.Column("size", sa.BigInteger),
    sa.Column("virtual_size", sa.BigInteger),
    sa.Column("min_disk", sa.Integer, nullable=False),
    sa.Column("min_ram", sa.Integer, nullable=False),
    sa.Column("owner", sa.String(64), index=True),
    sa.Column("visibility", sa.String(16), nullable=False),
    sa.Column("protected", sa.Boolean, nullable=False),
    sa.Column("os_hidden", sa.Boolean, nullable=False),
    sa.Column("properties", sa.JSON, nullable=False),
    sa.Column("tags", sa.Text, nullable=False),
    sa.Column("checksum", sa.String(32)),
    sa.Column("os_hash_value", sa.String(128)),
    sa.Column("sha256", sa.String(64)),
    sa.Column("file_name", sa.String(128)),
    sa.Column("was_open", sa.Boolean, nullable=False, default=False, server_default=sa.false()),
    sa.Column("created_at", UTC, nullable=False),
    sa.Column("updated_at", UTC, nullable=False),
)
"""`tags` holds every tag between two separators, so that one can be searched for; `file_name` is the file's below
the image directory, and a file that no row names belongs to nobody. `was_open` says that other projects could see it
at some time, by its visibility or as its members."""


class ImageRow(TypedDict):
    """A row of `images`."""

    id: str
    name: str | None
    status: str
    disk_format: str | None
    container_format: str | None
    size: int | None
    virtual_size: int | None
    min_disk: int
    min_ram: int
    owner: str | None
    visibility: str
    protected: bool
    os_hidden: bool
    properties: Mapping[str, str]
    tags: str
    checksum: str | None
    os_hash_value: str | None
    sha256: str | None
    file_name: str | None
    was_open: bool
    created_at: datetime
    updated_at: datetime


members = sa.Table(
    "image_members",
    metadata,
    uuid_column("image_id", sa.ForeignKey(images.c.id, ondelete="CASCADE"), primary_key=True),
    sa.Column("member_id", sa.String(64), primary_key=True, index=True),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("created_at", UTC, nullable=False),
    sa.Column("updated_at", UTC, nullable=False),
)


class ImageMemberRow(TypedDict):
    """A row of `image_members`."""

    image_id: str
    member_id: str
    status: str
    created_at: datetime
    updated_at: datetime


deleted_images = sa.Table(
    "deleted_images",
    metadata,
    uuid_column("id", primary_key=True),
    sa.Column("deleted_at", UTC, nullable=False),
    sa.Column("owner", sa.String(64)),
    sa.Column("was_open", sa.Boolean, nullable=False, default=False, server_default=sa.false()),
    sa.Index("ix_deleted_images_owner", "owner", "was_open", "deleted_at"),
)
"""Ids that stay taken: servers and templates name images by id, and nobody may give such a name other bytes.

`owner` is null in rows from before it was kept. Of ids that only their project knew, the oldest are freed once it has
too many; those that others could know stay, and how many a project may have of them is limited instead.
"""
OPEN = ("public", "community")
"""Visibilities by which every project can see an image."""

quotas = sa.Table(
    "image_quotas",
    metadata,
    sa.Column("project_id", sa.String(64), primary_key=True),
    sa.Column("resource", sa.String(64), primary_key=True),
    sa.Column("limit", sa.BigInteger, nullable=False),
)
"""What operators let a project keep, other than the defaults; -1 is no limit."""
LIMITS = ProjectLimits(quotas)

SEPARATOR = "\x1f"
SORTABLE: Mapping[str, sa.ColumnElement[object]] = {
    name: sa.func.coalesce(images.c[name], missing)
    for name, missing in {
        "name": "",
        "status": "",
        "container_format": "",
        "disk_format": "",
        "size": -1,
        "id": "",
        "owner": "",
        "visibility": "",
    }.items()
} | {"created_at": images.c.created_at, "updated_at": images.c.updated_at}


def _within(column: sa.ColumnElement[datetime], when: datetime) -> sa.ColumnElement[bool]:
    begin, end = second_of(when)
    return sa.and_(column >= begin, column < end)


OPERATORS: Mapping[str, Callable[[sa.ColumnElement[datetime], datetime], sa.ColumnElement[bool]]] = {
    "eq": _within,
    "neq": lambda column, when: sa.not_(_within(column, when)),
    "gt": lambda column, when: column >= second_of(when)[1],
    "gte": lambda column, when: column >= second_of(when)[0],
    "lt": lambda column, when: column < second_of(when)[0],
    "lte": lambda column, when: column < second_of(when)[1],
}
"""How a list may compare times."""


@attrs.frozen(kw_only=True)
class ImageQuery:
    """Which images a list is to hold, and in which order."""

    project_id: str | None
    everything: bool = False
    """Whether the caller may see other projects' images."""
    visibility: str | None = None
    """One of the four, or `all`; without it, everything but other people's community images."""
    member_status: str = "accepted"
    ids: Collection[str] | None = None
    equal: Mapping[str, Collection[object]] = {}
    """Columns and the values of which they hold one."""
    properties: Mapping[str, str] = {}
    tags: Collection[str] = ()
    hashed: bool = False
    """Whether only images whose bytes are there, and so their hash, are asked for."""
    size_min: int | None = None
    size_max: int | None = None
    moments: Sequence[tuple[str, str, datetime]] = ()
    """Times: the column, one of `OPERATORS`, and the second it is compared with."""
    order: Sequence[tuple[str, bool]] = (("created_at", True),)
    """Columns of `SORTABLE`, and whether they descend."""
    limit: int = 25
    marker: ImageRow | None = None
    """The row after which the list begins."""


def joined(tags: Collection[str]) -> str:
    """Write tags as the table keeps them."""
    return "".join(f"{SEPARATOR}{tag}{SEPARATOR}" for tag in sorted(set(tags)))


def split(tags: str) -> list[str]:
    """Read tags as the table keeps them."""
    return [tag for tag in tags.split(SEPARATOR) if tag]


async def create(session: Session, row: Mapping[str, object]) -> None:
    """Insert an image. Raises Conflict where its id is taken, or was by an image that is deleted."""
    try:
        await session.execute(sa.insert(images), [{**row, "was_open": row["visibility"] in OPEN}])
    except sa.exc.IntegrityError as error:
        raise errors.Conflict(f"An image with the id {row['id']} exists already.") from error
    # After the insert, which waits for a delete that is under way on PostgreSQL: before it, the id could slip through.
    if await was_deleted(session, str(row["id"])):
        raise errors.Conflict(f"An image with the id {row['id']} existed; ids of deleted images stay taken.")


async def was_deleted(session: Session, image_id: str) -> bool:
    """Return whether there was an image with the id, which stays taken."""
    return await session.scalar(sa.select(deleted_images.c.id).where(deleted_images.c.id == image_id)) is not None


_ONE = sa.select(images).where(images.c.id == sa.bindparam("key"))
_PUBLIC = images.c.visibility.in_(("public", "community"))
_SHARED = sa.and_(
    images.c.visibility == "shared",
    images.c.id.in_(sa.select(members.c.image_id).where(members.c.member_id == sa.bindparam("project"))),
)
_VISIBLE = _ONE.where(sa.or_(_PUBLIC, images.c.owner == sa.bindparam("project"), _SHARED))


async def visible(session: Session, image_id: str, project_id: str | None, everything: bool) -> ImageRow | None:
    """Fetch an image that a project may see."""
    if everything:
        return await session.first(_ONE, {"key": image_id}, of=ImageRow)
    if project_id is None:
        return await session.first(
            _ONE.where(sa.or_(_PUBLIC, images.c.owner.is_(None))), {"key": image_id}, of=ImageRow
        )
    return await session.first(_VISIBLE, {"key": image_id, "project": project_id}, of=ImageRow)


async def locked(session: Session, image_id: str) -> ImageRow | None:
    """Fetch an image that this transaction is about to change."""
    rows = await session.lock(sa.select(images).where(images.c.id == image_id), of=ImageRow)
    return rows[0] if rows else None


async def update(session: Session, image_id: str, values: Mapping[str, object]) -> None:
    """Change an image."""
    if values.get("visibility") in OPEN:
        values = {**values, "was_open": True}
    await session.execute(sa.update(images).where(images.c.id == image_id).values(**values))


async def activate(session: Session, image_id: str, values: Mapping[str, object]) -> bool:
    """Make a queued image active with what its upload found. Returns whether it still was queued."""
    query = sa.update(images).where(images.c.id == image_id, images.c.status == "queued")
    return await session.changed(query.values(status="active", **values)) > 0


class GoneImage(TypedDict):
    """What stays known of an image that is deleted."""

    owner: str | None
    was_open: bool


async def delete(session: Session, image_id: str, now: datetime) -> None:
    """Forget an image and with whom it is shared, but not its id."""
    gone = await session.first(
        sa.delete(images).where(images.c.id == image_id).returning(images.c.owner, images.c.was_open), of=GoneImage
    )
    if gone is not None:
        await session.execute(sa.insert(deleted_images), [{"id": image_id, "deleted_at": now, **gone}])


async def opened(session: Session, owner: str | None) -> int:
    """Count the images of a project that others could see, those that are there and those that are deleted."""
    return sum(
        [
            int(await session.scalar(sa.select(sa.func.count()).where(each.c.owner == owner, each.c.was_open)))
            for each in (images, deleted_images)
        ]
    )


async def usage(session: Session, owner: str | None) -> tuple[int, int]:
    """Return how many images a project has, and how many bytes of them are stored."""
    query = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(images.c.size), 0)).where(images.c.owner == owner)
    number, size = (await session.tuples(query))[0]
    return int(number), int(size)


async def file_names(session: Session) -> set[str]:
    """Return the names of all files that belong to an image."""
    return set(await session.scalars(sa.select(images.c.file_name).where(images.c.file_name.is_not(None))))


class StoredImage(TypedDict):
    """An image with a file."""

    id: str
    file_name: str
    size: int


async def stored(session: Session) -> list[StoredImage]:
    """Fetch all images that have a file."""
    c = images.c
    return await session.all(sa.select(c.id, c.file_name, c.size).where(c.file_name.is_not(None)), of=StoredImage)


async def names(session: Session, ids: Collection[str]) -> dict[str, str]:
    """Return the names of images by id."""
    rows = await session.rows(sa.select(images.c.id, images.c.name).where(images.c.id.in_(ids)))
    return {id: name or "" for id, name in rows}


async def listed(session: Session, wanted: ImageQuery) -> list[ImageRow]:
    """Fetch one page of the images that a project wants to see."""
    query = sa.select(images).where(_seen(wanted), *_matching(wanted))
    order = [*((SORTABLE[name], down) for name, down in wanted.order), (images.c.id, True)]
    if wanted.marker is not None:
        query = query.where(_after(wanted, wanted.marker))
    query = query.order_by(*(column.desc() if down else column.asc() for column, down in order))
    return await session.all(query.limit(wanted.limit), of=ImageRow)


def _seen(wanted: ImageQuery) -> sa.ColumnElement[bool]:
    visibility, owner = images.c.visibility, images.c.owner
    mine = owner == wanted.project_id if wanted.project_id is not None else sa.false()
    shared = images.c.id.in_(_shared_with(wanted.project_id, wanted.member_status))
    if wanted.visibility == "shared" and not wanted.everything:
        return sa.and_(visibility == "shared", sa.or_(mine, shared))
    if wanted.visibility not in (None, "all"):
        return sa.and_(visibility == wanted.visibility, _open(wanted, mine, visibility))
    every = sa.true() if wanted.everything else sa.or_(mine, visibility.in_(("public", "community")), shared)
    if wanted.visibility == "all":
        return every
    return sa.and_(every, sa.or_(visibility != "community", mine))


def _open(
    wanted: ImageQuery, mine: sa.ColumnElement[bool], visibility: sa.ColumnElement[str]
) -> sa.ColumnElement[bool]:
    return sa.true() if wanted.everything else sa.or_(mine, visibility.in_(("public", "community")))


def _shared_with(project_id: str | None, status: str | None) -> sa.Select[tuple[str]]:
    query = sa.select(members.c.image_id).where(members.c.member_id == project_id)
    return query if status in (None, "all") else query.where(members.c.status == status)


def _matching(wanted: ImageQuery) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = [images.c[name].in_(values) for name, values in wanted.equal.items()]
    if wanted.ids is not None:
        conditions.append(images.c.id.in_(wanted.ids))
    if wanted.hashed:
        conditions.append(images.c.os_hash_value.is_not(None))
    if wanted.size_min is not None:
        conditions.append(images.c.size >= wanted.size_min)
    if wanted.size_max is not None:
        conditions.append(images.c.size <= wanted.size_max)
    conditions += [OPERATORS[operator](images.c[name], when) for name, operator, when in wanted.moments]
    conditions += [images.c.properties[name].as_string() == value for name, value in wanted.properties.items()]
    # Taking a tag out changes the text just where it is there: exact in letter case on every database, unlike LIKE.
    conditions += [sa.func.replace(images.c.tags, joined([tag]), "") != images.c.tags for tag in wanted.tags]
    # No image has a tag that is empty or has the separator, but between two tags such a text is found.
    conditions += [sa.false() for tag in wanted.tags if split(joined([tag])) != [tag]]
    return conditions


def _after(wanted: ImageQuery, marker: Mapping[str, Any]) -> sa.ColumnElement[bool]:
    """Say that a row comes behind the marker: behind it in one column and equal in all before that one."""
    condition: sa.ColumnElement[bool] = images.c.id < marker["id"]
    for name, down in reversed(wanted.order):
        column, value = SORTABLE[name], marker[name]
        if value is None:
            value = -1 if name == "size" else ""
        beyond = column < value if down else column > value
        condition = sa.or_(beyond, sa.and_(column == value, condition))
    return condition


async def members_of(session: Session, image_id: str) -> list[ImageMemberRow]:
    """Fetch with whom an image is shared."""
    return await session.all(
        sa.select(members).where(members.c.image_id == image_id).order_by("created_at"), of=ImageMemberRow
    )


async def share(session: Session, row: Mapping[str, object]) -> None:
    """Share an image with a project; raise `Conflict` where it is already."""
    await session.execute(sa.update(images).where(images.c.id == row["image_id"]).values(was_open=True))
    try:
        await session.execute(sa.insert(members), [row])
    except sa.exc.IntegrityError as error:
        raise errors.Conflict(f"{row['member_id']} is already a member of this image.") from error


async def update_member(session: Session, image_id: str, member_id: str, values: Mapping[str, object]) -> bool:
    """Record what a member thinks of an image. Returns whether it is one."""
    query = sa.update(members).where(members.c.image_id == image_id, members.c.member_id == member_id)
    return await session.changed(query.values(**values)) > 0


async def unshare(session: Session, image_id: str, member_id: str) -> bool:
    """Stop sharing. Returns whether it was shared."""
    query = sa.delete(members).where(members.c.image_id == image_id, members.c.member_id == member_id)
    return await session.changed(query) > 0
