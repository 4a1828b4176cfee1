"""Bodies of what is asked of a server and is no verb."""

import attrs

from novakit.api.bodies import Body
from novakit.api.compute.schemas import types

_length: types.Definition = {
    "anyOf": [
        {"type": "integer", "minimum": -1},
        {"type": "string", "pattern": r"^(-1|[0-9]{1,9})\Z", "description": "such a number as a string"},
        {"type": "null"},
    ]
}


@attrs.frozen(kw_only=True)
class ConsoleWanted:
    """How much of a console is wanted."""

    length: int | None = None
    """Lines, from the end; -1 and None are all."""


@attrs.frozen(kw_only=True)
class NamedGroup:
    """A security group by its name or id."""

    name: str


console_output = Body(ConsoleWanted, [((2, 1), types.record({"length": _length}))], under="os-getConsoleOutput")

_named = types.record({"name": types.name}, ["name"])
add_security_group = Body(NamedGroup, [((2, 1), _named)], under="addSecurityGroup")
remove_security_group = Body(NamedGroup, [((2, 1), _named)], under="removeSecurityGroup")
