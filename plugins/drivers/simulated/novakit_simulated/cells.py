"""The NUMA cells of a simulated host, read from a file."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from novakit_hookspecs.errors import Refused
from novakit_hookspecs.numa import MAX_CELLS, NumaCell
from novakit_hookspecs.plain import to_record


def read(path: str, host: str) -> tuple[NumaCell, ...]:
    """Give the cells of a host; without a name for the file there are none.

    The file is JSON or TOML with a list `cells`, and may have a table `hosts` with a list of its own by host name.
    Raises `Refused` with what is wrong in it.
    """
    if not path:
        return ()
    try:
        cells = tuple(to_record(dict(cell), NumaCell) for cell in _listed(_document(Path(path)), host))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise Refused(f"the topology file {path} cannot be used: {error}") from error
    ids = [cell.id for cell in cells]
    cpus = [cpu for cell in cells for cpu in {*cell.cpus, *cell.dedicated}]
    if len(ids) > MAX_CELLS or len(set(ids)) < len(ids) or len(set(cpus)) < len(cpus):
        raise Refused(
            f"the topology file {path} must have {MAX_CELLS} cells at most, each id once, and each CPU in one cell"
        )
    return cells


def _document(path: Path) -> Mapping[str, Any]:
    text = path.read_text()
    document: Any = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    if not isinstance(document, Mapping):
        raise TypeError("it must hold a table with a list `cells`")
    return document


def _listed(document: Mapping[str, Any], host: str) -> Any:
    return document.get("hosts", {}).get(host, document.get("cells", []))
