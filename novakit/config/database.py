"""Which database a configuration names, checked without opening it."""

import os
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from novakit.errors import ConfigError
from novakit_hookspecs.urls import without_secrets

SQLITE = "sqlite+aiosqlite"
POSTGRESQL = "postgresql+asyncpg"
TLS = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
"""What `ssl` of a PostgreSQL URL may be, as asyncpg names them."""
EXAMPLES = f"{SQLITE}:////var/lib/novakit/novakit.db or {POSTGRESQL}://USER:PASSWORD@HOST/NAME"


def database_url(place: str, value: object) -> str:
    """Return the URL of a database; `place` names the key in errors. Raises ConfigError.

    What is secret in it is never repeated in a sentence.
    """
    if not isinstance(value, str):
        raise ConfigError(f"{place} takes a URL such as {EXAMPLES}, not {type(value).__name__}.")
    scheme, colon, rest = value.partition("://")
    if not colon:
        raise ConfigError(f"{place} takes a URL such as {EXAMPLES}; this one has no ://.")
    kind = scheme.partition("+")[0].lower()
    if kind in ("mysql", "mariadb"):
        raise ConfigError(
            f"{place} is a MySQL URL, and novakit keeps its state in SQLite or PostgreSQL; write {EXAMPLES}."
        )
    if kind == "postgres" or (kind == "postgresql" and scheme != POSTGRESQL):
        raise ConfigError(f"{place} begins with {scheme}://; write {POSTGRESQL}:// instead, the rest stays.")
    if kind == "sqlite" and scheme != SQLITE:
        raise ConfigError(f"{place} begins with {scheme}://; write {SQLITE}:// instead, the rest stays.")
    if scheme not in (SQLITE, POSTGRESQL):
        shown = without_secrets(scheme)[:40]
        raise ConfigError(
            f"{place} begins with {shown}://, which is not a database that novakit supports; write {EXAMPLES}."
        )
    _require_parts(place, value, scheme, rest)
    return value


def sqlite_file(url: str) -> Path | None:
    """Return the file of a URL that `database_url` let through; None for another database."""
    scheme, _, rest = url.partition("://")
    return Path(unquote(rest[1:])).absolute() if scheme == SQLITE else None


def _require_parts(place: str, value: str, scheme: str, rest: str) -> None:
    if "\0" in value or any(character.isspace() for character in value):
        raise ConfigError(f"{place} has spaces in it; write them as %20.")
    if scheme == SQLITE:
        if not rest.startswith("/") or len(rest) < 2 or rest.startswith("/:memory:"):
            raise ConfigError(f"{place} names no file: {SQLITE}:// is followed by / and a path, absolute ones by //.")
        if "?" in rest:
            raise ConfigError(f"{place} has options behind a ?, and SQLite takes none here; leave them out.")
        return
    try:
        parts = urlsplit(value)
        possible = parts.port is None or parts.port > 0
    except ValueError:
        possible = False
    if not possible:
        raise ConfigError(f"{place} names an invalid port; write {POSTGRESQL}://USER:PASSWORD@HOST:PORT/NAME.")
    for name, said in parse_qsl(parts.query, keep_blank_values=True):
        if name not in ("ssl", "host", "port"):
            instead = "write ssl= instead, with the same word" if name == "sslmode" else "it takes ssl, host and port"
            raise ConfigError(f"{place} has an option ?{name[:40]}= that novakit does not know; {instead}.")
        if name == "ssl" and said not in TLS:
            raise ConfigError(f"{place} has an ssl= that is none of {', '.join(TLS)}.")


def require_place(url: str) -> None:
    """Make sure that the file of a SQLite database can be there. Raises ConfigError.

    Asked when it is about to be opened: SQLite itself only says that it cannot, which sounds as if it might later.
    """
    path = sqlite_file(url)
    if path is None:
        return
    if path.is_dir():
        raise ConfigError(
            f"`database` names {path}, which is a directory; name a file in it, such as {path}/novakit.db."
        )
    if os.path.lexists(path) and not path.is_file():
        raise ConfigError(f"`database` names {path}, which is not a file; move it away, or name another one.")
    if not path.parent.is_dir():
        raise ConfigError(f"`database` names a file in {path.parent}, and there is no such directory; make it first.")
    if not os.access(path.parent, os.W_OK):
        raise ConfigError(
            f"`database` names a file in {path.parent}, and SQLite cannot write there; mount it for writing, give"
            " novakit's user the right to it, or name another file."
        )
