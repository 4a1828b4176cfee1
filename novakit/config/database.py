"""Which database a configuration names, checked without opening it."""

import os
import re
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
        raise ConfigError(f"{place} takes a URL as a text, such as {EXAMPLES}; this is no text.")
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
    if re.search(r"%[01][0-9a-f]|%7f", value, re.IGNORECASE):
        raise ConfigError(f"{place} has a control character in it, such as %00; take it out.")
    if scheme == SQLITE:
        if not rest.startswith("/") or len(rest) < 2 or rest.startswith("/:memory:"):
            raise ConfigError(f"{place} names no file: {SQLITE}:// is followed by / and a path, absolute ones by //.")
        if "?" in rest:
            raise ConfigError(f"{place} has options behind a ?, and SQLite takes none here; leave them out.")
        return
    try:
        parts = urlsplit(value)
        possible = (parts.port is None or parts.port > 0) and _is_host(unquote(parts.hostname or ""))
    except ValueError:
        possible = False
    if not possible:
        raise ConfigError(f"{place} names an invalid host or port; write {POSTGRESQL}://USER:PASSWORD@HOST:PORT/NAME.")
    for name, said in parse_qsl(parts.query, keep_blank_values=True):
        _require_option(place, name, said)


def _require_option(place: str, name: str, said: str) -> None:
    """Check one option behind the ? of a URL of PostgreSQL."""
    if name not in ("ssl", "host", "port"):
        instead = "write ssl= instead, with the same word" if name == "sslmode" else "it takes ssl, host and port"
        raise ConfigError(f"{place} has an option ?{name[:40]}= that novakit does not know; {instead}.")
    if name == "ssl" and said not in TLS:
        raise ConfigError(f"{place} has an ssl= that is not known; write one of {', '.join(TLS)}.")
    hosts, ports = _places(name, said)
    if not all(_is_host(host) for host in hosts):
        raise ConfigError(f"{place} has a host= that is not the name or address of a host.")
    if not all(re.fullmatch(r"[0-9]{1,5}", port) and 0 < int(port) < 65536 for port in ports):
        raise ConfigError(f"{place} has a port that is not a number from 1 to 65535.")


def _places(name: str, said: str) -> tuple[list[str], list[str]]:
    """Return the hosts and the ports that an option names, as in host=one:5432,two:5432; `::1` has no port."""
    several = said.split(",")
    if name == "port":
        return [], several
    pairs = [one.partition(":") if one.count(":") == 1 else (one, "", "") for one in several if name == "host"]
    return [host for host, _, _ in pairs], [port for _, colon, port in pairs if colon]


def _is_host(name: str) -> bool:
    """Return whether a name can be asked for: each label of it has 1 to 63 characters; an empty name is the default."""
    if name.startswith("/"):
        return True
    try:
        name.encode("idna")
    except UnicodeError:
        return False
    return True


def require_place(url: str) -> None:
    """Make sure that the file of a SQLite database can be there, or what PostgreSQL is checked by. Raises ConfigError.

    Asked when it is about to be opened: SQLite itself only says that it cannot, which sounds as if it might later.
    """
    path = sqlite_file(url)
    if path is None:
        _require_authority(url)
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


def _require_authority(url: str) -> None:
    """Make sure that there is a certificate where asyncpg looks for the one that the server's is checked against."""
    if dict(parse_qsl(urlsplit(url).query)).get("ssl") not in ("verify-ca", "verify-full"):
        return
    authority = Path(os.environ.get("PGSSLROOTCERT") or "~/.postgresql/root.crt").expanduser()
    if not authority.is_file():
        raise ConfigError(
            f"`database` wants the server's certificate checked, and there is none to check it against in {authority};"
            " put the authority's there, or name it in PGSSLROOTCERT."
        )
