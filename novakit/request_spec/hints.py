"""What scheduler hints say of other servers, bounded before anything is looked up."""

from collections.abc import Mapping
from typing import Any

from novakit import errors

MAX_SERVERS = 256
"""Servers that the hints of one request may name; more are refused rather than looked up."""


def servers_named(hints: Mapping[str, Any]) -> set[str]:
    """Give the ids of the servers that hints want near or far; raise `BadRequest` for too many."""
    named: set[str] = set()
    for hint in ("same_host", "different_host"):
        value = hints.get(hint)
        named.update(one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str))
    if len(named) > MAX_SERVERS:
        raise errors.BadRequest(f"The hints name {len(named)} servers; {MAX_SERVERS} is the most.")
    return named
