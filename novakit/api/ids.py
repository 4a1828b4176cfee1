"""UUIDs as clients spell them: capitals and small letters are the same (RFC 9562, section 4), here small ones are kept.

The public APIs promise nothing more, and on a database that compares text without regard to case their services find an
id in capitals; so do these.
"""

import re

IN_PATHS = frozenset(("id", "uuid", "consumer_uuid", "port", "server_id"))
"""Variable parts of paths that are ids which a service made, or keeps in small letters. All others, as names and tags,
are as they were sent."""
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def kept(id: str) -> str:
    """Return an id as it is kept: a UUID in small letters, anything else as it is."""
    return id.lower() if len(id) == 36 and _UUID.fullmatch(id) else id
