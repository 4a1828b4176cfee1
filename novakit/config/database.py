"""Which database a configuration names, checked without opening it."""

from urllib.parse import urlsplit

from novakit.errors import ConfigError

SQLITE = "sqlite+aiosqlite"
POSTGRESQL = "postgresql+asyncpg"
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
        raise ConfigError(
            f"{place} begins with {scheme[:40]}://, which is not a database that novakit supports; write {EXAMPLES}."
        )
    _require_parts(place, value, scheme, rest)
    return value


def _require_parts(place: str, value: str, scheme: str, rest: str) -> None:
    if "\0" in value or any(character.isspace() for character in value):
        raise ConfigError(f"{place} has spaces in it; write them as %20.")
    if scheme == SQLITE:
        if not rest.startswith("/") or len(rest) < 2 or rest.startswith("/:memory:"):
            raise ConfigError(f"{place} names no file: {SQLITE}:// is followed by / and a path, absolute ones by //.")
        return
    try:
        parts = urlsplit(value)
        possible = parts.port is None or parts.port > 0
    except ValueError:
        possible = False
    if not possible:
        raise ConfigError(f"{place} names an invalid port; write {POSTGRESQL}://USER:PASSWORD@HOST:PORT/NAME.")
