"""Notes of networks: how many statements a round of them takes, and who is told of what."""

from types import SimpleNamespace
from typing import Any

import attrs
import pytest
import sqlalchemy as sa

from novakit import world
from novakit.calls.host import NetworksNote
from novakit.conductor.guests.networks import NetworkNotes
from novakit.conductor.guests.note import Notary
from novakit.network.security_groups import SecurityGroupChange
from novakit.store.compute.strangers import strangers
from tests.unit.network.conftest import Bench
from tests.unit.network.scenes import bound, settle

GATEWAY, OTHER, STRANGE = HOSTS = ("a", "b", "c")


@attrs.define
class Kept:
    """Hosts that keep what they are given."""

    notes: dict[str, list[NetworksNote]] = attrs.field(factory=dict)

    def at(self, host: str) -> Any:
        async def keep(note: NetworksNote) -> None:
            self.notes.setdefault(host, []).append(note)

        return SimpleNamespace(keep_networks=keep)


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
async def notes(bench_on_each_database: Bench, kept: Kept) -> NetworkNotes:
    """Make them for hosts that have reported, and have written all notes but that of a host with a stranger."""
    bench = bench_on_each_database
    network = await bench.network()
    for host in HOSTS:
        await bound(bench, host, network.id)
    await settle(bench)
    await bench.networks.set_gateway(GATEWAY)
    columns = {"name": "n", "project_id": "p", "power": "on", "why": "", "keeps": [], "first_seen": world.now()}
    row = {"host": STRANGE, "guest": world.new_id(), "claim_id": world.new_id(), **columns}
    async with bench.networks.store.write() as session:
        await session.execute(sa.insert(strangers), [row])
    deployment: Any = SimpleNamespace(id="d", secret=b"s")
    parts: Any = SimpleNamespace(
        store=bench.networks.store, networks=bench.networks, notary=Notary(deployment), hosts=kept
    )
    made = NetworkNotes(parts)
    made._reported.update(HOSTS)
    made._changed.update(HOSTS)
    await made.write()
    assert {host: len(some) for host, some in kept.notes.items()} == {GATEWAY: 1, OTHER: 1}
    return made


@pytest.mark.parametrize("changed", [(GATEWAY, OTHER), (OTHER,)], ids=["with the gateway", "without it"])
async def test_a_round_for_guests_that_came_is_three_statements(
    bench_on_each_database: Bench, notes: NetworkNotes, kept: Kept, changed: tuple[str, ...]
) -> None:
    bench = bench_on_each_database
    (network,) = await bench.networks.networks.find(bench.member)
    await bound(bench, OTHER, network.network.id)
    await settle(bench)
    notes._changed.update(changed)
    statements = bench.networks.store.tally.statements
    await notes.write()
    assert bench.networks.store.tally.statements - statements == 3
    assert {host: len(some) for host, some in kept.notes.items()} == {GATEWAY: 1, OTHER: 2}


async def test_what_changes_around_guests_is_noted_on_all_hosts_though_the_mark_was_read_before_it(
    bench_on_each_database: Bench, notes: NetworkNotes, kept: Kept
) -> None:
    bench = bench_on_each_database
    noted = bench.networks.noted

    (group,) = await bench.networks.security_groups.find(bench.member)

    async def change_and_read(hosts: Any, marked: Any) -> Any:
        change = SecurityGroupChange(description="another word")
        await bench.networks.security_groups.update(bench.member, group.group.id, change)
        return await noted(hosts, marked)

    notes.parts.networks = SimpleNamespace(noted=change_and_read)  # type: ignore[misc, assignment]
    notes._changed.update(HOSTS)
    await notes.write()
    assert {host: len(some) for host, some in kept.notes.items()} == {GATEWAY: 1, OTHER: 1}
    notes.parts.networks = bench.networks  # type: ignore[misc]
    notes._changed.add(GATEWAY)
    await notes.write()
    assert {host: "another word" in some[-1].text for host, some in kept.notes.items()} == {GATEWAY: True, OTHER: True}
