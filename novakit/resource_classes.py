"""Names that people use for resource classes called otherwise: taken where names come in, never given out."""

from collections.abc import Iterable, Mapping
from typing import TypeVar

import structlog

from novakit import errors

log = structlog.get_logger(__name__)
T = TypeVar("T")

ALIASES: Mapping[str, str] = {"VGPU_MEMORY_MB": "CUSTOM_VGPU_MEMORY_MB"}
"""Custom classes by names that read like standard ones, and are none."""
_told: set[str] = set()


def canonical(name: str) -> str:
    """Return the class that a name means; the first use of each alias in a process is logged."""
    meant = ALIASES.get(name)
    if meant is None:
        return name
    if name not in _told:
        _told.add(name)
        log.warning("resource class is not standard", written=name, used=meant)
    return meant


def by_class(said: Mapping[str, T]) -> dict[str, T]:
    """Return what is said of each class under the class's own name. Raises BadRequest for one that is named twice."""
    found = {canonical(name): value for name, value in said.items()}
    if len(found) < len(said):
        twice = ", ".join(f"{name} and {canonical(name)}" for name in said if canonical(name) != name)
        raise errors.BadRequest(f"A resource class is named twice: {twice} are one.")
    return found


def aliased(said: Iterable[str]) -> set[str]:
    """Return the classes that are meant by aliases; nobody could have made them under that name."""
    return {ALIASES[name] for name in said if name in ALIASES}
