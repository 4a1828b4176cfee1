"""The shape of a refusal in the compute API."""

from novakit import errors
from novakit.api.documents import Document

NAMES = {
    400: "badRequest",
    403: "forbidden",
    404: "itemNotFound",
    405: "badMethod",
    409: "conflictingRequest",
    410: "gone",
    413: "overLimit",
    415: "badMediaType",
    429: "overLimit",
    501: "notImplemented",
    503: "serviceUnavailable",
}
"""What clients find above code and message; every other status is a computeFault."""


def shape(error: errors.NovakitError, request_id: str) -> Document:
    """Write an error as compute clients read it."""
    code = int(error.status)
    if code == 401:
        return {"error": {"code": code, "title": "Unauthorized", "message": error.message}}
    return {NAMES.get(code, "computeFault"): {"code": code, "message": error.message}}
