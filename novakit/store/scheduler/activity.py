"""What goes on on the hosts, counted from the servers themselves: how many are worked on, and of what kind they are."""

import attrs
import orjson
import sqlalchemy as sa

from novakit.store.compute.servers import servers
from novakit.store.engine import Session

_HERE = sa.and_(servers.c.deleted_at.is_(None), servers.c.host.is_not(None))
_FLAVOR = servers.c.flavor["name"].as_string()
# Grouped as text: hosts have few images, so this is few rows, and JSON itself cannot be grouped by on PostgreSQL.
_IMAGE = sa.cast(servers.c.image_properties, sa.Text)


def _counted(kind: sa.ColumnElement[str], *where: sa.ColumnElement[bool]) -> sa.Select[*tuple[str, int, str]]:
    return sa.select(servers.c.host, sa.func.count(), kind).where(_HERE, *where).group_by(servers.c.host, kind)


COUNTED = {
    "io_ops": _counted(servers.c.task_state, servers.c.task_state.is_not(None)),
    "flavors": _counted(_FLAVOR),
    "image_properties": _counted(_IMAGE),
}
"""The facts that are counted so, each with a question for hosts, counts, and of what they are the counts."""


@attrs.define
class Activity:
    """What goes on, by host; what is not said of a host is nothing."""

    io_ops: dict[str, int] = attrs.field(factory=dict)
    """Servers that something is being done to."""
    flavors: dict[str, dict[str, int]] = attrs.field(factory=dict)
    """Servers of each flavor."""
    image_properties: dict[str, dict[str, int]] = attrs.field(factory=dict)
    """Servers whose image has a property, by `key=value`."""
    written: set[str] = attrs.field(factory=set)
    """Of the servers that were just placed those that are among these, or gone: their rows say so."""

    def take(self, fact: str, host: str, count: int, kind: str) -> None:
        """Take in a row of what is asked for a fact."""
        if fact == "io_ops":
            self.io_ops[host] = self.io_ops.get(host, 0) + count
        elif fact == "flavors":
            self.flavors.setdefault(host, {})[kind] = count
        else:
            there = self.image_properties.setdefault(host, {})
            for key, value in orjson.loads(kind).items():
                there[f"{key}={value}"] = there.get(f"{key}={value}", 0) + count


async def beside(session: Session, but: sa.Select[object]) -> Activity:
    """Count without the servers that `but` selects."""
    found = Activity()
    for fact, counted in COUNTED.items():
        for host, count, kind in await session.rows(counted.where(servers.c.id.not_in(but))):
            found.take(fact, host, count, kind)
    return found
