"""What of a host's network stays as it is though the topology knows nothing of it."""

import asyncio
import errno
from pathlib import Path

import attrs
import orjson
import pytest

from novakit import durable
from novakit.agent import wires
from novakit.agent.wires import Wires, completed
from novakit.bus import topologies
from novakit.calls.host import Kept
from novakit_hookspecs.networks import (
    Address,
    AddressGroup,
    Applied,
    DhcpPort,
    Gateway,
    Lease,
    Network,
    Port,
    Router,
    RouterInterface,
    Rule,
    Subnet,
    Topology,
    Vif,
)


def _id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


NET, OUT, OUT_NOW, SUBNET, GUEST, OTHER = (_id(number) for number in range(1, 7))
LEASE = Lease(port_id=_id(20), mac="fa:16:3e:00:00:01", ip="10.0.0.5", hostname="g")
DHCP = DhcpPort(id=_id(30), mac="fa:16:3e:00:00:02", addresses=[Address(ip="10.0.0.2", subnet_id=SUBNET)])
TENANT = Network(
    id=NET, segment=7, mtu=1450, subnets=[Subnet(id=SUBNET, cidr="10.0.0.0/24")], dhcp=DHCP, leases=[LEASE]
)
EXTERNAL = Network(id=OUT, segment=8, mtu=1500, physical_network="public")
PORT = Port(id=_id(20), network_id=NET, server_id=GUEST, mac="fa:16:3e:00:00:01")
THEIRS = Port(id=_id(21), network_id=NET, server_id=OTHER, mac="fa:16:3e:00:00:03")
ROUTER = Router(
    id=_id(40),
    interfaces=[RouterInterface(port_id=_id(41), network_id=NET, mac="fa:16:3e:00:00:04", addresses=["10.0.0.1/24"])],
    gateway=Gateway(port_id=_id(42), network_id=OUT, mac="fa:16:3e:00:00:05", addresses=["172.24.4.9/24"]),
)
LAST = Topology(revision=5, networks=[TENANT, EXTERNAL], ports=[PORT, THEIRS], routers=[ROUTER])
EMPTY = Topology(revision=9)


def test_without_strangers_the_topology_is_obeyed_as_it_is() -> None:
    assert completed(EMPTY, Kept(), LAST) is EMPTY


def test_a_stranger_keeps_its_ports_and_on_a_lost_network_dhcp_routers_and_the_way_out() -> None:
    made = completed(EMPTY, Kept(guests=(GUEST,), networks=(NET,)), LAST)
    assert made.revision == 9 and made.ports == (PORT,), "the ports of others go"
    assert {each.id: each.dhcp for each in made.networks} == {NET: DHCP, OUT: None}
    assert made.networks[0].leases == (LEASE,) and made.routers == (ROUTER,)


def test_on_a_network_that_is_known_only_the_ports_stay() -> None:
    known = attrs.evolve(TENANT, mtu=1400)
    made = completed(attrs.evolve(EMPTY, networks=(known,)), Kept(guests=(GUEST,)), LAST)
    assert made.networks == (known,) and made.ports == (PORT,) and made.routers == ()
    elsewhere = completed(EMPTY, Kept(guests=(GUEST,)), LAST)
    assert [(each.id, each.dhcp, each.leases) for each in elsewhere.networks] == [(NET, None, ())]


def test_the_topologys_own_ports_win() -> None:
    mine = attrs.evolve(PORT, mac="fa:16:3e:00:00:09")
    made = completed(attrs.evolve(EMPTY, networks=(TENANT,), ports=(mine,)), Kept(guests=(GUEST,)), LAST)
    assert made.ports == (mine,)


def test_a_kept_router_leads_out_through_the_network_that_is_on_its_bridge_now() -> None:
    now = Network(id=OUT_NOW, segment=3, mtu=1500, physical_network="public")
    made = completed(attrs.evolve(EMPTY, networks=(now,)), Kept(guests=(GUEST,), networks=(NET,)), LAST)
    assert {each.id for each in made.networks} == {NET, OUT_NOW}
    assert made.routers[0].gateway is not None and made.routers[0].gateway.network_id == OUT_NOW


async def test_what_was_applied_is_remembered_over_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wires, "SETTLE", 0.01)
    first = Wires(tmp_path / "topology.json")
    first.open()
    first.remember(attrs.evolve(LAST, ports=()))
    first.remember(LAST)
    await asyncio.sleep(0.2)
    assert (tmp_path / "topology.json").exists()
    second = Wires(tmp_path / "topology.json")
    second.open()
    assert second.completed(EMPTY, Kept(guests=(GUEST,))).ports == (PORT,)
    monkeypatch.setattr(wires, "SETTLE", 60)
    second.remember(EMPTY)
    await second.close()
    third = Wires(tmp_path / "topology.json")
    third.open()
    assert third.completed(EMPTY, Kept(guests=(GUEST,))).ports == ()


def test_a_memory_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    (tmp_path / "topology.json").write_text('{"revision": "x"}')
    broken = Wires(tmp_path / "topology.json")
    broken.open()
    assert broken.completed(EMPTY, Kept(guests=(GUEST,))).ports == ()


async def test_what_is_applied_again_is_written_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wires, "SETTLE", 0.01)
    memory, again = Wires(tmp_path / "topology.json"), attrs.evolve(LAST, revision=6)
    memory.remember(LAST)
    await asyncio.sleep(0.2)
    (tmp_path / "topology.json").unlink()
    for _ in range(3):
        memory.remember(again)
    assert memory._writing is not None and memory._writing.done()


GROUP = AddressGroup(id=_id(50), members=("10.0.0.7/32",))
TRUSTING = attrs.evolve(PORT, rules=(Rule(direction="ingress", ethertype="IPv4", remotes=(), remote_group=GROUP.id),))
TRUSTED = attrs.evolve(LAST, ports=(TRUSTING, THEIRS), groups=(GROUP, AddressGroup(id=_id(51))))


def test_what_strangers_keep_has_the_groups_that_their_rules_name_and_the_topologys_own_win() -> None:
    made = completed(EMPTY, Kept(guests=(GUEST,)), TRUSTED)
    assert made.ports == (TRUSTING,) and made.groups == (GROUP,)
    mine = attrs.evolve(GROUP, members=())
    assert completed(attrs.evolve(EMPTY, groups=(mine,)), Kept(guests=(GUEST,)), TRUSTED).groups == (mine,)
    assert completed(EMPTY, Kept(guests=(OTHER,)), TRUSTED).groups == ()


def _written(path: Path) -> Topology | None:
    return topologies.read(orjson.loads(path.read_bytes())) if path.exists() else None


async def _comes(path: Path, wanted: Topology) -> None:
    async with asyncio.timeout(10):
        while _written(path) != wanted:
            await asyncio.sleep(0.01)


async def test_members_that_come_and_go_are_written_with_the_next_other_change_and_at_the_latest_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wires, "SETTLE", 0.0)
    path = tmp_path / "topology.json"
    memory = Wires(path)
    memory.remember(TRUSTED)
    await _comes(path, TRUSTED)
    more = attrs.evolve(TRUSTED, revision=6, groups=(attrs.evolve(GROUP, members=("10.0.0.8/32",)),))
    memory.remember(more)
    await asyncio.sleep(0.2)
    assert _written(path) == TRUSTED, "a member more is not worth a write"
    other = attrs.evolve(more, revision=7, routers=())
    memory.remember(other)
    await _comes(path, other)
    memory.remember(attrs.evolve(more, revision=8, routers=()))
    monkeypatch.setattr(wires, "PATIENCE", 0.0)
    last = attrs.evolve(other, revision=9, groups=())
    memory.remember(last)
    await _comes(path, last)
    monkeypatch.setattr(wires, "PATIENCE", 60.0)
    memory.remember(attrs.evolve(TRUSTED, revision=10, routers=()))
    await memory.close()
    assert _written(path) == attrs.evolve(TRUSTED, revision=10, routers=())


async def test_leases_that_come_and_go_wait_for_the_next_other_change_and_a_network_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wires, "SETTLE", 0.0)
    path, memory = tmp_path / "topology.json", Wires(tmp_path / "topology.json")
    memory.remember(LAST)
    await _comes(path, LAST)
    leased = attrs.evolve(TENANT, leases=(LEASE, attrs.evolve(LEASE, ip="10.0.0.6")))
    memory.remember(attrs.evolve(LAST, revision=6, networks=(leased, EXTERNAL)))
    await asyncio.sleep(0.2)
    assert _written(path) == LAST, "a lease more is not worth a write"
    other = attrs.evolve(LAST, revision=7, networks=(attrs.evolve(leased, mtu=1400), EXTERNAL))
    memory.remember(other)
    await _comes(path, other)
    fewer = attrs.evolve(other, revision=8, networks=other.networks[:1])
    memory.remember(fewer)
    await _comes(path, fewer)
    memory.remember(attrs.evolve(fewer, revision=9, networks=(TENANT,)))
    await memory.close()
    assert _written(path) == attrs.evolve(fewer, revision=9, networks=(TENANT,))


def test_what_a_kill_loses_is_as_the_page_on_state_says() -> None:
    assert wires.SETTLE == 2 and wires.SETTLE + wires.PATIENCE == 12


async def test_a_file_for_which_there_was_no_room_is_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wires, "SETTLE", 0.0)
    monkeypatch.setattr(wires, "PATIENCE", 0.05)
    tried, write = [], durable.write

    def full_once(path: Path, content: bytes, *, lasting: bool) -> None:
        tried.append(path)
        if len(tried) == 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, content, lasting=lasting)

    monkeypatch.setattr(durable, "write", full_once)
    memory = Wires(tmp_path / "topology.json")
    memory.remember(LAST)
    await _comes(memory.path, LAST)
    # What is on the disk may not have been heard of yet: closing then writes the same once more.
    await memory.close()
    assert len(tried) >= 2 and _written(memory.path) == LAST


def _applied(revision: int, *ports: str) -> Applied:
    return Applied(revision=revision, vifs={port: Vif(device=f"tap{port}", mtu=1500) for port in ports})


def test_what_came_can_be_made_another_of_by_its_name_once(tmp_path: Path) -> None:
    memory, later = Wires(tmp_path / "topology.json"), attrs.evolve(LAST, revision=6)
    first = memory.answer(LAST, _applied(5, "a", "b"))
    before = memory.take(first.mark)
    assert before is not None and before.topology is LAST
    second = memory.answer(later, _applied(6, "b", "c"), before)
    assert (set(second.vifs), second.unwired, second.revision) == ({"b", "c"}, ("a",), 6)
    assert memory.take(first.mark) is None, "who asked for it was answered with another name, or sends the whole"
    other = Wires(tmp_path / "topology.json")
    for _ in range(2):
        other.answer(later, _applied(6))
    assert other.take(second.mark) is None, "nor does another process know what this one has named"
    known = memory.take(second.mark)
    assert known is not None and known.topology is later


def test_a_port_that_is_gone_is_told_of_however_many_were_answered_meanwhile(tmp_path: Path) -> None:
    memory, had = Wires(tmp_path / "topology.json"), _applied(5, "a", "b")
    before = memory.take(memory.answer(LAST, had).mark)
    for _ in range(wires.LATEST + 1):
        memory.answer(LAST, had)
    now = _applied(6, "b")
    assert memory.answer(LAST, now, before).applied(had.vifs) == now


def test_a_port_that_is_wired_as_it_was_is_not_told_again(tmp_path: Path) -> None:
    memory, before = Wires(tmp_path / "topology.json"), _applied(5, "a", "b")
    first = memory.answer(LAST, before)
    now = attrs.evolve(before, vifs={**before.vifs, "b": Vif(device="tapb", mtu=1400)}, faults={"c": "no room"})
    second = memory.answer(LAST, now, memory.take(first.mark))
    assert set(second.vifs) == {"b"} and second.applied(before.vifs) == now
    assert memory.answer(LAST, now).applied({}) == now, "to whom sent the whole all is told"
    again = attrs.evolve(now, revision=7, vifs=dict(now.vifs))
    third = memory.answer(LAST, again, memory.take(second.mark))
    assert (third.vifs, third.unwired, third.faults) == ({}, (), now.faults) and third.applied(now.vifs) == again


def test_the_latest_topologies_of_some_conductors_are_known_and_no_more(tmp_path: Path) -> None:
    memory = Wires(tmp_path / "topology.json")
    marks = [memory.answer(LAST, _applied(5)).mark for _ in range(wires.LATEST + 1)]
    known = [memory.take(mark) is not None for mark in marks]
    assert known == [False, *[True] * wires.LATEST]
