"""The serial console's log: virtlogd writes it, turns it over at its size limit and keeps a few older pieces."""

from pathlib import Path


def tail(log: Path, max_bytes: int) -> bytes:
    """Return the last bytes over the log and its older pieces; empty when nothing was printed."""
    pieces: list[bytes] = []
    wanted = max_bytes
    for path in _newest_first(log):
        if wanted <= 0:
            break
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - wanted))
            pieces.append(file.read(wanted))
        wanted -= len(pieces[-1])
    return b"".join(reversed(pieces))


def _newest_first(log: Path) -> list[Path]:
    """virtlogd names the older pieces `.0`, `.1`, ... with the youngest first."""
    found = [log] if log.exists() else []
    number = 0
    while (older := log.with_name(f"{log.name}.{number}")).exists():
        found.append(older)
        number += 1
    return found
