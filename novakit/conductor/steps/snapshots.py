"""The images that hold the disks of shelved servers."""

import structlog

from novakit import errors
from novakit.context import SERVICE
from novakit.image import DEACTIVATED, Images
from novakit.image.records import NewImage
from novakit.store import images, operations
from novakit.store.compute.servers import ServerRow
from novakit.store.engine import Session

log = structlog.get_logger(__name__)

_WITH_SNAPSHOT = ("shelved", "shelved_offloaded")
_COMING_BACK = ("unshelving", "spawning")


async def snapshot_of(session: Session, server: ServerRow) -> str | None:
    """Name the image that holds, or is to hold, a shelved server's disk; None for a server that has none."""
    task = server["task_state"] or ""
    if not task.startswith("shelving") and server["vm_state"] not in _WITH_SNAPSHOT and not _was_offloaded(server):
        return None
    return await operations.last_of(session, server["id"], "shelve")


def _was_offloaded(server: ServerRow) -> bool:
    """Return whether a server in error that was shelved has no guest on a host, so that its image may be its disk.

    No other server in error that was built once is on no host.
    """
    return server["vm_state"] == "error" and (server["host"] is None or server["task_state"] in _COMING_BACK)


async def require_usable(session: Session, server: ServerRow, image_id: str) -> None:
    """Raise `Conflict` where the image may not be used now; of one that is gone, the build says so."""
    image = await images.visible(session, image_id, None, True)
    if image is not None and image["status"] == DEACTIVATED:
        raise errors.Conflict(
            f"Instance {server['id']} cannot be unshelved: its image {image_id} is deactivated, until an administrator "
            "reactivates it."
        )


async def format_of(service: Images, image_id: str) -> str:
    """Return the disk format of the image; empty for one that is gone, of which the build says so."""
    try:
        return (await service.get(SERVICE, image_id)).disk_format or ""
    except errors.NotFound:
        return ""


async def drop_snapshot(service: Images, image_id: str) -> None:
    """Delete the image; one that is gone is fine, and one that its owner has protected stays."""
    try:
        await service.delete(SERVICE, image_id)
    except errors.NotFound:
        return
    except errors.Forbidden as error:
        log.info("a snapshot's image could not be deleted and stays", image=image_id, why=str(error))


def image_of(server: ServerRow, image_id: str, disk_format: str) -> NewImage:
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
