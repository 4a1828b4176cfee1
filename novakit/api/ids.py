"""UUIDs as clients spell them: capitals and small letters are the same (RFC 9562, section 4), here small ones are kept.

So are those without dashes, which the ids of the identity service are.

The public APIs promise nothing more, and on a database that compares text without regard to case their services find an
id in capitals; so do these.
"""

import re

IN_PATHS = frozenset(
    ("id", "uuid", "consumer_uuid", "port", "server_id", "project", "project_id", "user", "role", "member")
)
"""Variable parts of paths that are ids which a service made, or keeps in small letters. All others, as names and tags,
are as they were sent."""
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9a-fA-F]{32}")


def kept(id: str) -> str:
    """Return an id as it is kept: a UUID in small letters, anything else as it is."""
    return id.lower() if len(id) in (32, 36) and _UUID.fullmatch(id) else id
