"""What a host refuses, as the owner of a server may read it: no name of a host, and of a file its own name alone.

A driver's refusal is one sentence for the user, and names what its author thought of. Operators get it whole.
"""

import re

_DIRECTORIES = re.compile(r"(?<![^\s'\"(`])/(?:[^\s/'\"`]+/)+(?=[^\s/])")
"""The directories of an absolute path; a URL, a network such as 10.0.0.0/24 and a fraction have no such beginning."""


def for_owner(said: str, host: str | None) -> str:
    """Return a refusal of `host` without names of hosts and directories."""
    said = _DIRECTORIES.sub("", said)
    if not host:
        return said
    named = re.escape(host)
    said = re.sub(rf"\bhost {named}(?![\w.-]*\w)", "host", said)
    # A name that may be a word of the language is known by the word before it alone.
    return said if host.isalpha() else re.sub(rf"(?<![\w.-]){named}(?![\w-])", "its host", said)
