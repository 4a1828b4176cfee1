"""What scheduler hints say of other servers, bounded before anything is looked up."""

from collections.abc import Mapping

import orjson

from novakit import errors

MAX_SERVERS = 256
"""Servers that the hints of one request may name; more are refused rather than looked up."""


MAX_BYTES = 32768
"""Bytes of JSON that the hints of one request may be: 256 servers twice, and room for a query.

They are kept with every server of the request, so that a thousand servers with a megabyte each would fill a database.
"""


def bounded(hints: Mapping[str, object]) -> Mapping[str, object]:
    """Return the hints of a new server. Raises BadRequest where they are too long or name too many servers."""
    size = len(orjson.dumps(hints))
    if size > MAX_BYTES:
        raise errors.BadRequest(f"The scheduler hints are {size} bytes of JSON; {MAX_BYTES} is the most.")
    servers_named(hints)
    return hints


def servers_named(hints: Mapping[str, object]) -> set[str]:
    """Return the ids of the servers that hints want near or far. Raises BadRequest for too many."""
    named: set[str] = set()
    for hint in ("same_host", "different_host"):
        value = hints.get(hint)
        named.update(one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str))
    if len(named) > MAX_SERVERS:
        raise errors.BadRequest(f"The hints name {len(named)} servers; {MAX_SERVERS} is the most.")
    return named
