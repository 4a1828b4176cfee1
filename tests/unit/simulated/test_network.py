"""The simulated network wires what can be wired, says what cannot, and remembers."""

import errno
import random
import uuid
from pathlib import Path
from typing import Any

import attrs
import pytest

from novakit_hookspecs.hosts import HostContext
from novakit_hookspecs.networks import (
    Address,
    AddressGroup,
    DhcpPort,
    FloatingIp,
    Gateway,
    Network,
    Port,
    Router,
    RouterInterface,
    Rule,
    Subnet,
    Topology,
)
from novakit_simulated import journal
from novakit_simulated.network import SimulatedNetwork
from novakit_simulated.options import SimulatedNetworkOptions


def _id() -> str:
    return str(uuid.uuid4())


SUBNET = Subnet(id=_id(), cidr="10.0.0.0/24", gateway_ip="10.0.0.1")
NETWORK = Network(
    id=_id(), segment=7, mtu=1450, subnets=[SUBNET], dhcp=DhcpPort(id=_id(), mac="fa:16:3e:00:00:02", addresses=[])
)
OUTSIDE = Network(id=_id(), segment=8, mtu=1500, physical_network="public")


def _port(last: int, **fields: Any) -> Port:
    settings = {
        "id": _id(),
        "network_id": NETWORK.id,
        "server_id": _id(),
        "mac": f"fa:16:3e:00:01:{last:02x}",
        "addresses": [Address(ip=f"10.0.0.{last}", subnet_id=SUBNET.id)],
        **fields,
    }
    return Port(**settings)


def _router(**fields: Any) -> Router:
    inside = RouterInterface(port_id=_id(), network_id=NETWORK.id, mac="fa:16:3e:00:00:01", addresses=["10.0.0.1/24"])
    outside = Gateway(port_id=_id(), network_id=OUTSIDE.id, mac="fa:16:3e:00:00:99", addresses=["172.24.4.9/24"])
    return Router(**{"id": _id(), "interfaces": [inside], "gateway": outside, **fields})


def _wires(driver: SimulatedNetwork) -> dict[str, Any]:
    """Return all that a driver has written down but the revision, which is not written with each."""
    return {key: record for key, record in driver._journal.records.items() if key != "revision"}


async def _driver(folder: Path, **options: Any) -> SimulatedNetwork:
    folder.mkdir(exist_ok=True)
    driver = SimulatedNetwork(SimulatedNetworkOptions(**options), HostContext(host="here", state_dir=str(folder)))
    await driver.open()
    return driver


async def test_ports_networks_and_routers_are_made_and_taken_away(tmp_path: Path) -> None:
    driver, port, router = await _driver(tmp_path), _port(5), _router()
    topology = Topology(revision=1, networks=[NETWORK, OUTSIDE], ports=[port], routers=[router])
    applied = await driver.apply(topology)
    assert applied.faults == {}
    assert applied.vifs[port.id].mtu == 1450
    assert len(applied.vifs[port.id].device) <= 15
    assert {held.owner for held in await driver.holdings()} == {port.id, NETWORK.id, router.id}
    await driver.apply(Topology(revision=2))
    assert await driver.holdings() == []


async def test_an_older_topology_is_ignored(tmp_path: Path) -> None:
    driver, port = await _driver(tmp_path), _port(5)
    await driver.apply(Topology(revision=2, networks=[NETWORK], ports=[port]))
    applied = await driver.apply(Topology(revision=1))
    assert applied.revision == 2
    assert port.id in applied.vifs


async def test_a_topology_that_is_applied_again_is_not_written_down_again(tmp_path: Path) -> None:
    driver, topology = await _driver(tmp_path), Topology(revision=3, networks=[NETWORK], ports=[_port(5)])
    await driver.apply(topology)
    written = (tmp_path / "network.journal").stat().st_size
    await driver.apply(topology)
    assert (tmp_path / "network.journal").stat().st_size == written


async def test_other_members_of_groups_are_not_written_down(tmp_path: Path) -> None:
    driver, group, port = await _driver(tmp_path), AddressGroup(id=_id(), members=("10.0.0.7/32",)), _port(5)
    topology = Topology(revision=3, networks=[NETWORK], ports=[port], groups=[group])
    await driver.apply(topology)
    written = (tmp_path / "network.journal").stat().st_size
    for revision in (4, 5):
        other = attrs.evolve(group, members=("10.0.0.7/32", f"10.0.0.{revision}/32"))
        applied = await driver.apply(attrs.evolve(topology, revision=revision, groups=[other]))
        assert (applied.revision, set(applied.vifs)) == (revision, {port.id})
    assert (tmp_path / "network.journal").stat().st_size == written
    assert (await driver.apply(Topology(revision=4))).revision == 5, "what is older is ignored all the same"
    again = await _driver(tmp_path)
    assert set((await again.apply(Topology(revision=2))).vifs) == {port.id}, "older than what is wired"
    assert (await again.apply(Topology(revision=6))).vifs == {}
    assert (await _driver(tmp_path)).revision == 6


async def test_a_disk_that_is_full_takes_no_revision_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    driver, group = await _driver(tmp_path), AddressGroup(id=_id(), members=("10.0.0.7/32",))
    topology = Topology(revision=3, networks=[NETWORK], ports=[_port(5)], groups=[group])
    await driver.apply(topology)
    await driver.apply(attrs.evolve(topology, revision=4, groups=[attrs.evolve(group, members=())]))
    with monkeypatch.context() as full:
        full.setattr(journal.Journal, "_append", refuse)
        with pytest.raises(OSError, match="No space"):
            await driver.apply(Topology(revision=5))
    assert (await driver.apply(Topology(revision=3))).revision == 4


async def test_what_was_wired_is_known_after_a_restart(tmp_path: Path) -> None:
    port = _port(5)
    before = await (await _driver(tmp_path)).apply(Topology(revision=3, networks=[NETWORK], ports=[port]))
    again = await _driver(tmp_path)
    assert again.revision == 3
    assert {held.owner for held in await again.holdings()} == {port.id, NETWORK.id}
    assert (await again.apply(Topology(revision=1))).vifs == before.vifs


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"network_id": _id()}, "not in the topology"),
        ({"mac": "not a mac"}, "is not a MAC"),
        ({"addresses": [Address(ip="10.0.1.5", subnet_id=SUBNET.id)]}, "outside 10.0.0.0/24"),
        ({"addresses": [Address(ip="ten", subnet_id=SUBNET.id)]}, "not an IP address"),
        ({"addresses": [Address(ip="10.0.0.5", subnet_id=_id())]}, "does not have"),
        ({"addresses": [Address(ip="10.0.0.6", subnet_id=SUBNET.id)]}, "already used"),
    ],
)
async def test_a_port_that_cannot_be_made_is_a_fault_of_that_port_alone(
    tmp_path: Path, fields: dict[str, Any], words: str
) -> None:
    good, bad = _port(6), _port(5, **fields)
    applied = await (await _driver(tmp_path)).apply(Topology(revision=1, networks=[NETWORK], ports=[good, bad]))
    assert list(applied.vifs) == [good.id]
    assert words in applied.faults[bad.id]


async def test_a_member_that_is_no_range_is_a_fault_of_the_ports_whose_rules_name_its_group(tmp_path: Path) -> None:
    group = AddressGroup(id=_id(), members=("10.0.0.7/32", "nonsense"))
    rule = Rule(direction="ingress", ethertype="IPv4", remotes=(), remote_group=group.id)
    topology = Topology(revision=1, networks=[NETWORK], ports=[_port(5), _port(6, rules=(rule,))], groups=[group])
    applied = await (await _driver(tmp_path)).apply(topology)
    assert list(applied.faults) == [topology.ports[1].id]
    assert "'nonsense', which is not a CIDR" in applied.faults[topology.ports[1].id]


async def test_a_network_that_cannot_be_made_takes_its_ports_along(tmp_path: Path) -> None:
    port, network = _port(5), attrs.evolve(NETWORK, segment=0)
    applied = await (await _driver(tmp_path)).apply(Topology(revision=1, networks=[network], ports=[port]))
    assert set(applied.faults) == {network.id, port.id}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"gateway": None, "floating_ips": [FloatingIp(id=_id(), address="172.24.4.10", fixed_ip="10.0.0.5")]},
            "gateway",
        ),
        ({"floating_ips": [FloatingIp(id=_id(), address="172.24.4.10", fixed_ip="10.9.0.5")]}, "no interface reaches"),
    ],
)
async def test_a_router_that_cannot_work_is_a_fault(tmp_path: Path, fields: dict[str, Any], words: str) -> None:
    router = _router(**fields)
    applied = await (await _driver(tmp_path)).apply(Topology(revision=1, networks=[NETWORK, OUTSIDE], routers=[router]))
    assert words in applied.faults[router.id]


async def test_ports_fail_on_order_and_are_tried_again_at_the_next_change(tmp_path: Path) -> None:
    topology = Topology(revision=1, networks=[NETWORK], ports=[_port(5)])
    assert (await (await _driver(tmp_path, fail_hosts=("here",))).apply(topology)).vifs == {}
    assert len((await (await _driver(tmp_path)).apply(attrs.evolve(topology, revision=2))).vifs) == 1


async def test_what_is_told_of_ports_is_what_the_journal_has_also_after_a_disk_was_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    driver, first, second = await _driver(tmp_path), _port(5), _port(6)
    topology = Topology(revision=1, networks=[NETWORK], ports=[first])
    await driver.apply(topology)
    with monkeypatch.context() as full:
        full.setattr(journal, "_ROOM", -1000)
        full.setattr(journal.Journal, "_rewrite", refuse)
        with pytest.raises(OSError, match="No space"):
            await driver.apply(attrs.evolve(topology, revision=2, ports=[second]))
    assert set((await driver.apply(attrs.evolve(topology, revision=3, ports=[second]))).vifs) == {second.id}
    with monkeypatch.context() as full:
        full.setattr(journal.Journal, "_append", refuse)
        with pytest.raises(OSError, match="No space"):
            await driver.apply(attrs.evolve(topology, revision=4))
    assert set((await driver.apply(attrs.evolve(topology, revision=2))).vifs) == {second.id}, "nothing was written"
    assert set((await driver.apply(attrs.evolve(topology, revision=5))).vifs) == {first.id}


@pytest.mark.parametrize("seed", range(8))
async def test_what_was_looked_into_before_changes_nothing_of_what_is_made(tmp_path: Path, seed: int) -> None:
    chance, driver = random.Random(seed), await _driver(tmp_path / "old")
    narrow = Subnet(id=SUBNET.id, cidr="10.0.0.0/30")
    networks = [
        NETWORK,
        attrs.evolve(NETWORK, mtu=1400),
        attrs.evolve(NETWORK, subnets=(narrow,)),
        attrs.evolve(NETWORK, segment=0),
    ]
    some = [_port(2), _port(5), _port(5), _port(9, mac="no mac"), _port(9)]
    groups = [
        AddressGroup(id=_id(), members=("10.0.0.2/32",)),
        AddressGroup(id=_id(), members=("nonsense",)),
        AddressGroup(id=_id()),
    ]
    trusting = [Rule(direction="ingress", ethertype="IPv4", remotes=(), remote_group=group.id) for group in groups]
    moved = [
        attrs.evolve(port, **change)
        for port in some
        for change in (
            {"server_id": _id()},
            {"mac": "fa:16:3e:00:02:01"},
            {"addresses": (Address(ip="10.0.0.3", subnet_id=SUBNET.id),)},
            {"rules": (Rule(direction="egress", ethertype="IPv4"),)},
            {"rules": (*trusting[:1], *trusting[2:])},
            {"rules": tuple(trusting[:2])},
            {"network_id": OUTSIDE.id, "addresses": ()},
        )
    ]
    topology = Topology(revision=0)
    for revision in range(1, 90):
        ports = list({port.id: port for port in chance.sample([*some, *moved], chance.choice((1, 2, 8)))}.values())
        former = topology
        topology = Topology(
            revision=revision,
            networks=(chance.choice(networks), OUTSIDE),
            ports=ports,
            groups=[attrs.evolve(group, members=group.members[: chance.randrange(2)]) for group in groups]
            if chance.random() < 0.5
            else chance.sample(groups, chance.randrange(4)),
        )
        if revision % 3:
            topology = attrs.evolve(former, revision=revision, groups=topology.groups)
        new = await _driver(tmp_path / f"new{revision}")
        assert await driver.apply(topology) == await new.apply(topology)
        assert await driver.apply(topology) == await new.apply(topology), "and again"
        assert _wires(driver) == _wires(new)
        if not revision % 20:
            driver = await _driver(tmp_path / "old")
