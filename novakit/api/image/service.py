"""The image service over HTTP: its routes and its error shape."""

from http import HTTPStatus
from typing import Any

from novakit import errors
from novakit.api.image import data, images, members, schemas, versions
from novakit.api.service import Service
from novakit.image import Images


def shape(error: errors.NovakitError, request_id: str) -> dict[str, Any]:
    """Write an error as image clients read it."""
    status = HTTPStatus(error.status)
    return {"code": f"{int(status)} {status.phrase}", "title": status.phrase, "message": error.message}


service: Service[Images] = Service(
    name="image",
    routes=(*versions.routes, *schemas.routes, *images.routes, *data.routes, *members.routes),
    shape=shape,
)
