"""How many more servers like one fit, as records that cross the bus."""

from collections.abc import Mapping

import attrs


@attrs.frozen(kw_only=True)
class HostRoom:
    """How many more fit on one host."""

    host: str
    fits: int
    runs_out: str
    """What ends it there: a resource class, a filter, or in words."""


@attrs.frozen(kw_only=True)
class Capacity:
    """How many more fit in all."""

    flavor: str
    resources: Mapping[str, int]
    """What one server needs, by resource class."""
    fits: int
    hosts: tuple[HostRoom, ...]
    """Those with the most room first, and not all of them."""
    runs_out_first: Mapping[str, int]
    """On how many hosts each thing ends it, the most frequent first."""
    hosts_in_question: int
    """How many the filters let one server through to."""
    counted_by: str = "filters"
    """The scheduler driver that said how many, else `filters`."""
    failed: str = ""
    """Why it could not be counted."""
    message: str = ""
    """Why none fits, for tenants."""


@attrs.frozen(kw_only=True)
class CapacityAfterLoss(Capacity):
    """The same once some hosts are lost and their servers have moved to the others."""

    lost: tuple[str, ...]
    """Names of the hosts."""
    moved: int
    """Servers."""
    homeless: int
    """Servers that find no room."""


@attrs.frozen(kw_only=True)
class CapacityReport(Capacity):
    """What `novakit capacity` asks for."""

    survive: CapacityAfterLoss | None = None
    """None where nobody asked what a loss leaves."""


def written(told: Capacity) -> dict[str, object]:
    """Write it as the JSON object that is shown; what does not apply is left out."""
    plain = attrs.asdict(told, recurse=False)
    plain |= {"hosts": [attrs.asdict(one) for one in told.hosts]}
    if isinstance(told, CapacityReport):
        plain["survive"] = None if told.survive is None else written(told.survive)
    return {name: value for name, value in plain.items() if name not in ("failed", "message", "survive") or value}
