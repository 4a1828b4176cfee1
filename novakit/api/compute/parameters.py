"""Parts of the path and of the query, as the compute API takes them."""

from novakit import errors
from novakit.api.queries import refuse_unknown
from novakit.api.service import Call, S


def known_parameters(call: Call[S], *known: str) -> None:
    """From 2.75 on raise `BadRequest` for a query parameter that is not known; before they are ignored."""
    if call.version >= (2, 75):
        refuse_unknown(call.request.query, known)


def part(call: Call[S], name: str) -> str:
    """Return a variable part of the path. Raises NotFound for what cannot be the name of anything."""
    return named(call.path[name])


def named(value: str) -> str:
    """Return text that names something. Raises NotFound for what cannot be the name of anything."""
    if "\x00" in value or len(value) > 255:
        raise errors.NotFound("The resource could not be found.")
    return value
