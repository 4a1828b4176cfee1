"""What a plugin that checks its host reports to `novakit doctor`."""

import enum
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import attrs


class Verdict(enum.Enum):
    """The state of one thing on the host."""

    OK = "ok"
    WARN = "warn"
    """Works, but worse than it could, or lacks something optional."""
    MISSING = "missing"
    """Guests cannot run here before this is repaired."""


@attrs.frozen(kw_only=True)
class Finding:
    """One line of `novakit doctor`."""

    check: str
    """What was looked at, in a few words: `libvirt`, `/dev/kvm`."""
    verdict: Verdict
    """How bad it is."""
    found: str
    """What was found, in words."""
    remedy: str = ""
    """What to do, unless the verdict is OK: a command where there is one."""


@runtime_checkable
class ExaminesHost(Protocol):
    """Facet of a virt, network or accelerator driver: can check what it needs of the host."""

    async def examine_host(self) -> Sequence[Finding]:
        """Look at everything the driver needs on its host, in a few seconds, and change nothing.

        Called on a driver that is not open, with or without a running service; raises nothing for what is missing.
        """
