"""Every distribution of this repository, by what it is: the core, the contract, libraries and plugins."""

import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
CORE = ROOT / "pyproject.toml"
CONTRACT = ROOT / "hookspecs" / "pyproject.toml"
LIBRARIES = sorted(ROOT.glob("libraries/*/pyproject.toml"))
PLUGINS = sorted({*ROOT.glob("plugins/*/pyproject.toml"), *ROOT.glob("plugins/*/*/pyproject.toml")})
EVERY = [CORE, CONTRACT, *LIBRARIES, *PLUGINS]


def project(path: Path) -> dict[str, Any]:
    """Read what a distribution says of itself."""
    said: dict[str, Any] = tomllib.loads(path.read_text())["project"]
    return said


def package(path: Path) -> Path:
    """Return the folder of a distribution's import package."""
    told = tomllib.loads(path.read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    return path.parent / str(told[0])
