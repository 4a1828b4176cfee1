"""An image as the rest of the cloud sees it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

import attrs

from novakit.store.images import joined, split

HASH_ALGORITHM = "sha512"
DEACTIVATED = "deactivated"
"""The status of an image that an administrator has put aside: nothing is built from it."""


@attrs.frozen(kw_only=True)
class Image:
    """One image; sizes in bytes, `min_disk` in GiB, `min_ram` in MiB."""

    id: str
    name: str
    status: str
    """queued until its bytes are there and found to be safe, then active; deactivated while nobody may use it."""
    disk_format: str | None
    container_format: str | None
    size: int | None
    virtual_size: int | None
    min_disk: int
    min_ram: int
    owner: str | None
    visibility: str
    protected: bool
    hidden: bool
    properties: Mapping[str, str]
    tags: tuple[str, ...]
    checksum: str | None
    """MD5, for old clients."""
    os_hash_algo: str | None
    os_hash_value: str | None
    sha256: str | None
    created_at: datetime
    updated_at: datetime


@attrs.frozen(kw_only=True)
class ImageValues:
    """What an image's owner says of it; `min_disk` in GiB, `min_ram` in MiB."""

    KEEPS_THE_REST: ClassVar = "properties"

    name: str | None = None
    visibility: str = "shared"
    protected: bool = False
    os_hidden: bool = False
    owner: str | None = None
    disk_format: str | None = None
    container_format: str | None = None
    min_disk: int = 0
    min_ram: int = 0
    tags: Sequence[str] = ()
    properties: Mapping[str, str] = {}


@attrs.frozen(kw_only=True)
class NewImage(ImageValues):
    """An image that is to be made."""

    id: str | None = None
    """None for one that is to be given an id."""


@attrs.frozen(kw_only=True)
class ImageFile:
    """Where the bytes of an active image are."""

    path: Path
    format: str
    size: int
    sha256: str
    checksum: str


def record(row: Mapping[Any, Any]) -> Image:
    """Make an image of its row."""
    return Image(
        id=row["id"],
        name=row["name"] or "",
        status=row["status"],
        disk_format=row["disk_format"],
        container_format=row["container_format"],
        size=row["size"],
        virtual_size=row["virtual_size"],
        min_disk=row["min_disk"],
        min_ram=row["min_ram"],
        owner=row["owner"],
        visibility=row["visibility"],
        protected=row["protected"],
        hidden=row["os_hidden"],
        properties=row["properties"],
        tags=tuple(split(row["tags"])),
        checksum=row["checksum"],
        os_hash_algo=HASH_ALGORITHM if row["os_hash_value"] else None,
        os_hash_value=row["os_hash_value"],
        sha256=row["sha256"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def values(row: Mapping[Any, Any]) -> ImageValues:
    """Return what the owner said of an image, of its row."""
    said = {field.name: row[field.name] for field in attrs.fields(ImageValues)}
    return ImageValues(**{**said, "tags": split(row["tags"])})


def columns(said: ImageValues) -> dict[str, object]:
    """Return what is said of an image by column."""
    return {**{field.name: getattr(said, field.name) for field in attrs.fields(ImageValues)}, "tags": joined(said.tags)}


def document(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Write an image as clients of the image API read it."""
    return {
        **row["properties"],
        "id": row["id"],
        "name": row["name"],
        "status": row["status"],
        "visibility": row["visibility"],
        "protected": row["protected"],
        "os_hidden": row["os_hidden"],
        "owner": row["owner"],
        "disk_format": row["disk_format"],
        "container_format": row["container_format"],
        "size": row["size"],
        "virtual_size": row["virtual_size"],
        "min_disk": row["min_disk"],
        "min_ram": row["min_ram"],
        "checksum": row["checksum"],
        "os_hash_algo": HASH_ALGORITHM if row["os_hash_value"] else None,
        "os_hash_value": row["os_hash_value"],
        "tags": split(row["tags"]),
        "created_at": moment(row["created_at"]),
        "updated_at": moment(row["updated_at"]),
        "self": f"/v2/images/{row['id']}",
        "file": f"/v2/images/{row['id']}/file",
        "schema": "/v2/schemas/image",
    }


def moment(at: datetime) -> str:
    """Write a moment in whole seconds."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
