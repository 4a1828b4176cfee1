"""The images that hold the disks of shelved servers."""

import structlog

from novakit import errors
from novakit.context import SERVICE
from novakit.image import Images
from novakit.image.records import NewImage
from novakit.store import operations
from novakit.store.engine import Row, Session

log = structlog.get_logger(__name__)

_WITH_SNAPSHOT = ("shelved", "shelved_offloaded")


async def snapshot_of(session: Session, server: Row) -> str | None:
    """Name the image that holds, or is to hold, a shelved server's disk; None for a server that has none."""
    shelving = (server["task_state"] or "").startswith("shelving")
    if not shelving and server["vm_state"] not in _WITH_SNAPSHOT:
        return None
    return await operations.last_of(session, server["id"], "shelve")


async def format_of(images: Images, image_id: str) -> str:
    """Return the disk format of the image; empty for one that is gone, of which the build says so."""
    try:
        return (await images.get(SERVICE, image_id)).disk_format or ""
    except errors.NotFound:
        return ""


async def drop_snapshot(images: Images, image_id: str) -> None:
    """Delete the image; one that is gone is fine, and one that its owner has protected stays."""
    try:
        await images.delete(SERVICE, image_id)
    except errors.NotFound:
        return
    except errors.Forbidden as error:
        log.info("a snapshot image stays", image=image_id, why=str(error))


def image_of(server: Row, image_id: str, disk_format: str) -> NewImage:
    """Write down the image that is to take the copy of a server's root disk."""
    return NewImage(
        id=image_id,
        name=f"{server['name'][:247]}-shelved",
        owner=server["project_id"],
        visibility="private",
        disk_format=disk_format,
        container_format="bare",
        min_disk=server["flavor"]["disk"],
        properties={
            "image_type": "snapshot",
            "base_image_ref": server["image_id"] or "",
            "instance_uuid": server["id"],
            "user_id": server["user_id"],
        },
    )
