"""The image service over HTTP: its routes and its error shape."""

from http import HTTPStatus

from novakit import errors
from novakit.api.image import data, images, members, schemas, versions
from novakit.api.image.policies import RULES
from novakit.api.service import Service
from novakit.image import Images


def shape(error: errors.NovakitError, request_id: str) -> dict[str, object]:
    """Write an error as image clients read it."""
    status = HTTPStatus(error.status)
    return {"code": f"{int(status)} {status.phrase}", "title": status.phrase, "message": error.message}


def denied(rule: str) -> errors.Forbidden:
    """Say as image clients know it that a rule is not met."""
    return errors.Forbidden(f"You are not authorized to complete {rule} action.")


service: Service[Images] = Service(
    name="image",
    routes=(*versions.routes, *schemas.routes, *images.routes, *data.routes, *members.routes),
    shape=shape,
    policies=RULES,
    denied=denied,
)
