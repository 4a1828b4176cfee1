"""The errors novakit answers with: what happened, to what, and what to do next.

Domain code raises these; each API turns them into its own shape in one place.
"""

import os
import re
from http import HTTPStatus

RETRY_AFTER = 2
"""Seconds after which to ask again for what cannot be answered now."""
MOST_SAID = 300
"""Characters of what an error says that a sentence repeats."""


def in_words(error: BaseException) -> str:
    """Return what an error says, as a part of a sentence: one line without full stop, and no name of a Python class.

    An error that says nothing, as a bare TimeoutError does, is given the words that its class is called by.
    """
    if isinstance(error, OSError) and type(error).__str__ is OSError.__str__ and error.errno is not None:
        about = f": {error.filename}" if error.filename else ""
        said = f"{error.strerror or os.strerror(error.errno)}{about}"
    elif isinstance(error, KeyError) and error.args:
        said = f"{error.args[0]} is missing"
    else:
        said = str(error)
    said = " ".join(said.split()).rstrip(".")
    return said[:MOST_SAID] or kind_in_words(error)


def kind_in_words(error: BaseException) -> str:
    """Return what kind of error it is, for what may not repeat its text: `connection refused error`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", type(error).__name__).lower()


class NovakitError(Exception):
    """Something was asked that cannot be done; `status` is the HTTP status it becomes."""

    status = HTTPStatus.INTERNAL_SERVER_ERROR

    def __init__(self, message: str, *, kind: str = "", headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind or type(self).__name__
        """A word clients may match on: Neutron's error type, Placement's error code."""
        self.headers = headers or {}


class BadRequest(NovakitError):
    """The request itself is wrong; sending it again will not help."""

    status = HTTPStatus.BAD_REQUEST


class Unauthorized(NovakitError):
    """The caller did not say who it is, or was not believed."""

    status = HTTPStatus.UNAUTHORIZED


class Forbidden(NovakitError):
    """The caller is known and may not do this; over-quota is one of these in the compute API."""

    status = HTTPStatus.FORBIDDEN


class NotFound(NovakitError):
    """There is no such thing, or the caller may not know that there is."""

    status = HTTPStatus.NOT_FOUND


class MethodNotAllowed(NovakitError):
    """The thing exists and does not do that."""

    status = HTTPStatus.METHOD_NOT_ALLOWED


class NotAcceptable(NovakitError):
    """The API version or format that was asked for is not served."""

    status = HTTPStatus.NOT_ACCEPTABLE


class Conflict(NovakitError):
    """It cannot be done in the present state."""

    status = HTTPStatus.CONFLICT


class Gone(NovakitError):
    """It existed until some API version."""

    status = HTTPStatus.GONE


class TooLarge(NovakitError):
    """The body or the number of things is above the cap."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class ExpectationFailed(NovakitError):
    """The client made its request depend on what this service does not do."""

    status = HTTPStatus.EXPECTATION_FAILED


class TooMany(NovakitError):
    """Too many requests of one party at a time, or too many wrong logins; Retry-After says when to ask again."""

    status = HTTPStatus.TOO_MANY_REQUESTS


class UnsupportedMedia(NovakitError):
    """The body is of a kind this call does not take."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE


class NotImplementedHere(NovakitError):
    """The public API has it; this cloud does not."""

    status = HTTPStatus.NOT_IMPLEMENTED


class Unavailable(NovakitError):
    """Not now; the same request may work after some seconds, and each such answer says after how many."""

    status = HTTPStatus.SERVICE_UNAVAILABLE

    def __init__(self, message: str, *, kind: str = "", headers: dict[str, str] | None = None) -> None:
        super().__init__(message, kind=kind, headers={"Retry-After": str(RETRY_AFTER)} | (headers or {}))


class InsufficientStorage(NovakitError):
    """There is no room for it; deleting makes some."""

    status = HTTPStatus.INSUFFICIENT_STORAGE


class ConfigError(NovakitError):
    """The configuration is wrong; the sentence says which key and what it takes."""
