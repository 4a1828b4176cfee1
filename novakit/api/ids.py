"""UUIDs as clients spell them: capitals and small letters are the same (RFC 9562, section 4), here small ones are kept.

So are those without dashes, which the ids of the identity service are.

The public APIs promise nothing more, and on a database that compares text without regard to case their services find an
id in capitals; so do these.
"""

import re
from collections.abc import Mapping

IN_PATHS = frozenset(
    ("id", "uuid", "consumer_uuid", "port", "server_id", "project", "project_id", "user", "role", "member")
)
"""Variable parts of paths that are ids which a service made, or keeps in small letters. All others, as names and tags,
are as they were sent."""
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9a-fA-F]{32}")


def kept(id: str) -> str:
    """Return an id as it is kept: a UUID in small letters, anything else as it is."""
    return id.lower() if len(id) in (32, 36) and _UUID.fullmatch(id) else id


_HINTS = ("group", "same_host", "different_host")
"""Scheduler hints that are ids, or lists of ids."""


def kept_hints(hints: Mapping[str, object]) -> Mapping[str, object]:
    """Return scheduler hints with the ids of groups and servers as they are kept."""
    return {name: _kept_all(said) if name in _HINTS else said for name, said in hints.items()}


def _kept_all(said: object) -> object:
    if isinstance(said, list):
        return [_kept_all(one) for one in said]
    return kept(said) if isinstance(said, str) else said
