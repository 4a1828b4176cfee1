"""What of a host's network stays as it is though the topology knows nothing of it."""

import asyncio
from pathlib import Path

import attrs
import pytest

from novakit.agent import wires
from novakit.agent.wires import Wires, completed
from novakit.calls.host import Kept
from novakit_hookspecs.networks import (
    Address,
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


async def test_what_is_applied_again_with_each_heartbeat_is_compared_once_and_written_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wires, "SETTLE", 0.01)
    memory, compared, again = Wires(tmp_path / "topology.json"), [], attrs.evolve(LAST, revision=6)
    same = wires._is_same

    def comparing(one: Topology, other: Topology) -> bool:
        compared.append(one)
        return same(one, other)

    monkeypatch.setattr(wires, "_is_same", comparing)
    memory.remember(LAST)
    await asyncio.sleep(0.2)
    (tmp_path / "topology.json").unlink()
    for _ in range(3):
        memory.remember(again)
    await asyncio.sleep(0.2)
    assert compared == [LAST, again] and not (tmp_path / "topology.json").exists()


class Counted(str):
    """An address that counts how often it is compared."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        Counted.compared += 1
        return super().__eq__(other)

    __hash__ = str.__hash__


def _in_a_group(*members: str, ports: int = 5) -> Topology:
    rules = (Rule(direction="ingress", ethertype="IPv4", remotes=tuple(Counted(member) for member in members)),)
    return Topology(
        revision=1,
        ports=tuple(
            Port(id=_id(number), network_id=NET, server_id=GUEST, mac="fa:16:3e:00:00:01", rules=rules)
            for number in range(ports)
        ),
    )


def test_the_rules_that_ports_share_are_compared_once_and_a_member_more_is_seen() -> None:
    Counted.compared = 0
    assert wires._is_same(_in_a_group("10.0.0.2/32", "10.0.0.3/32"), _in_a_group("10.0.0.2/32", "10.0.0.3/32"))
    assert Counted.compared == 2
    assert not wires._is_same(_in_a_group("10.0.0.2/32"), _in_a_group("10.0.0.2/32", "10.0.0.3/32"))
    assert not wires._is_same(_in_a_group("10.0.0.2/32"), _in_a_group("10.0.0.2/32", ports=4))
    moved = attrs.evolve(LAST, ports=(attrs.evolve(PORT, mac="fa:16:3e:00:00:09"), THEIRS))
    assert not wires._is_same(LAST, moved) and wires._is_same(LAST, attrs.evolve(LAST, revision=7))
    assert not wires._is_same(LAST, attrs.evolve(LAST, routers=()))


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
    assert Wires(tmp_path / "topology.json").take(second.mark) is None
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


def test_the_latest_topologies_of_some_conductors_are_known_and_no_more(tmp_path: Path) -> None:
    memory = Wires(tmp_path / "topology.json")
    marks = [memory.answer(LAST, _applied(5)).mark for _ in range(wires.LATEST + 1)]
    known = [memory.take(mark) is not None for mark in marks]
    assert known == [False, *[True] * wires.LATEST]
