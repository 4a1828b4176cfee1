"""The images that hold the disks of shelved servers."""

import structlog

from novakit import errors
from novakit.conductor.verbs.create import SERVICE
from novakit.image import Images

log = structlog.get_logger(__name__)


async def drop_snapshot(images: Images, image_id: str) -> None:
    """Delete the image; one that is gone is fine, and one that its owner has protected stays."""
    try:
        await images.delete(SERVICE, image_id)
    except errors.NotFound:
        return
    except errors.Forbidden as error:
        log.info("a snapshot image stays", image=image_id, why=str(error))
