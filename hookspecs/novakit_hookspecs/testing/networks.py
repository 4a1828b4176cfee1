"""What every network driver must hold: `NetworkConformance`.

One that moves packets holds `WiresPackets` of the module `packets` too.

    class TestMine(NetworkConformance):
        @pytest.fixture
        def build(self, tmp_path):
            return lambda: MyDriver(MyOptions(), HostContext(host="here", state_dir=str(tmp_path)))

`build` gives a new driver of the same host each time: the second one is what a restarted agent has.
"""

from collections.abc import AsyncIterator, Callable

import pytest

from novakit_hookspecs.errors import NotFound
from novakit_hookspecs.networks import (
    ListsHoldings,
    NetworkDriver,
    Port,
    RemovesAbandoned,
    ServesMetadata,
    Topology,
)
from novakit_hookspecs.testing.topologies import OUT, Draft, allow_tcp, new_id

Build = Callable[[], NetworkDriver]
THE_END = 2**40
"""A revision after all others."""


class NetworkConformance:
    """Idempotence, removal, restarts, contained faults and honest reports, whatever the driver wires with."""

    @pytest.fixture
    def build(self) -> Build:
        """Override: give a function that makes a driver which is not open yet."""
        pytest.fail(f"{type(self).__name__} has to override the fixture `build`")

    @pytest.fixture
    async def driver(self, build: Build) -> AsyncIterator[NetworkDriver]:
        """Yield an open driver on an empty host, and close it afterwards."""
        made = build()
        await made.open()
        yield made
        await made.close()
        last = build()
        await last.open()
        await last.apply(Topology(revision=THE_END))
        await last.close()

    @pytest.fixture
    def draft(self) -> Draft:
        """Return an empty draft of a topology."""
        return Draft()

    async def test_every_wanted_port_is_wired(self, driver: NetworkDriver, draft: Draft) -> None:
        network = draft.network(mtu=1400)
        ports = [draft.port(network, f"10.1.0.{number}") for number in (11, 12, 13)]
        applied = await driver.apply(draft.topology())
        assert not applied.faults
        assert set(applied.vifs) == {port.id for port in ports}, "each port of the topology needs a vif"
        assert {vif.mtu for vif in applied.vifs.values()} == {1400}, "a vif has its network's MTU"
        names = [vif.device for vif in applied.vifs.values()]
        assert len(set(names)) == 3, "each port needs a device of its own"
        assert all(0 < len(name) <= 15 for name in names), "Linux cuts device names at 15 characters"

    async def test_applying_again_changes_nothing(self, driver: NetworkDriver, draft: Draft) -> None:
        draft.port(draft.network(), "10.1.0.11")
        topology = draft.topology()
        first, second = await driver.apply(topology), await driver.apply(topology)
        assert first == second

    async def test_a_newer_revision_of_the_same_is_acknowledged(self, driver: NetworkDriver, draft: Draft) -> None:
        draft.port(draft.network(), "10.1.0.11")
        first, second = await driver.apply(draft.topology()), await driver.apply(draft.topology())
        assert second.revision == first.revision + 1
        assert second.vifs == first.vifs

    async def test_an_older_revision_is_ignored(self, driver: NetworkDriver, draft: Draft) -> None:
        port = draft.port(draft.network(), "10.1.0.11")
        old = Topology(revision=1)
        draft.topology()
        await driver.apply(draft.topology())
        applied = await driver.apply(old)
        assert applied.revision == 2, "an older revision is ignored, and the answer says which is in force"
        assert port.id in applied.vifs

    async def test_a_port_that_went_is_gone_and_the_others_stay(self, driver: NetworkDriver, draft: Draft) -> None:
        network = draft.network()
        stays, goes = draft.port(network, "10.1.0.11"), draft.port(network, "10.1.0.12")
        before = await driver.apply(draft.topology())
        del draft.ports[goes.id]
        after = await driver.apply(draft.topology())
        assert dict(after.vifs) == {stays.id: before.vifs[stays.id]}
        assert goes.id not in await owners(driver)

    async def test_an_empty_topology_leaves_nothing(self, driver: NetworkDriver, draft: Draft) -> None:
        inside, outside = draft.network(), draft.network("10.2.0")
        draft.port(inside, "10.1.0.11")
        draft.router([inside, outside])
        await driver.apply(draft.topology())
        applied = await driver.apply(Topology(revision=1000))
        assert not applied.vifs
        assert not applied.faults
        assert not await owners(driver), "the driver left something on the host"

    async def test_what_cannot_be_made_is_a_fault_of_that_alone(self, driver: NetworkDriver, draft: Draft) -> None:
        network = draft.network()
        good = draft.port(network, "10.1.0.11")
        lost = Port(id=new_id(), network_id=new_id(), server_id=new_id(), mac="fa:16:3e:00:00:99", rules=OUT)
        draft.ports[lost.id] = lost
        applied = await driver.apply(draft.topology())
        assert set(applied.vifs) == {good.id}
        assert set(applied.faults) == {lost.id}, (
            "report a port on a network that is not in the topology, and no other, under `faults`"
        )
        assert " " in applied.faults[lost.id], "say in a sentence why the port could not be made"

    async def test_a_fault_is_gone_once_its_cause_is(self, driver: NetworkDriver, draft: Draft) -> None:
        network = draft.network()
        port = draft.port(network, "10.1.0.11")
        del draft.networks[network.id]
        assert set((await driver.apply(draft.topology())).faults) == {port.id}
        draft.networks[network.id] = network
        applied = await driver.apply(draft.topology())
        assert not applied.faults
        assert port.id in applied.vifs

    async def test_members_of_a_group_come_and_go_while_its_ports_stay(
        self, driver: NetworkDriver, draft: Draft
    ) -> None:
        network, group = draft.network(), draft.group("10.1.0.11/32")
        port = draft.port(network, "10.1.0.12", (*OUT, allow_tcp(80, group=group)))
        before = await driver.apply(draft.topology())
        for members in (("10.1.0.11/32", "10.1.0.14/32", "2001:db8::14/128"), ("10.1.0.14/32",), ()):
            draft.regroup(group, *members)
            applied = await driver.apply(draft.topology())
            assert (dict(applied.vifs), applied.faults) == (dict(before.vifs), {})
        assert set(before.vifs) == {port.id}

    async def test_a_rule_that_names_an_unknown_group_is_a_fault_of_its_port_alone(
        self, driver: NetworkDriver, draft: Draft
    ) -> None:
        network, group = draft.network(), draft.group("10.1.0.11/32")
        bad = draft.port(network, "10.1.0.12", (*OUT, allow_tcp(80, group=group)))
        good = draft.port(network, "10.1.0.11")
        del draft.groups[group.id]
        applied = await driver.apply(draft.topology())
        assert set(applied.vifs) == {good.id}, (
            "a port is a fault while the group that its rule names is unknown: nobody may reach it"
        )
        assert set(applied.faults) == {bad.id}
        draft.groups[group.id] = group
        applied = await driver.apply(draft.topology())
        assert set(applied.vifs) == {good.id, bad.id} and not applied.faults

    async def test_closing_keeps_everything_and_a_new_driver_takes_over(
        self, driver: NetworkDriver, draft: Draft, build: Build
    ) -> None:
        network = draft.network()
        stays, goes = draft.port(network, "10.1.0.11"), draft.port(network, "10.1.0.12")
        before = await driver.apply(draft.topology())
        held = await owners(driver)
        await driver.close()
        successor = build()
        await successor.open()
        try:
            assert await owners(successor) == held, "closing must not take anything down"
            del draft.ports[goes.id]
            after = await successor.apply(draft.topology())
            assert dict(after.vifs) == {stays.id: before.vifs[stays.id]}, "a restart must not rename a guest's device"
            assert goes.id not in await owners(successor), "remove what left the topology while the driver was down"
            await successor.apply(Topology(revision=THE_END))
        finally:
            await successor.close()

    async def test_holdings_belong_to_somebody_in_the_topology(self, driver: NetworkDriver, draft: Draft) -> None:
        network = draft.network()
        port, router = draft.port(network, "10.1.0.11"), draft.router([network])
        await driver.apply(draft.topology())
        if not isinstance(driver, ListsHoldings):
            pytest.skip("the driver does not list its holdings")
        found = await owners(driver)
        assert port.id in found
        assert found <= {port.id, network.id, router.id}

    async def test_nothing_of_its_own_is_abandoned(self, driver: NetworkDriver, draft: Draft, build: Build) -> None:
        if not isinstance(driver, RemovesAbandoned):
            pytest.skip("the driver does not tell what others have left")
        port = draft.port(draft.network(), "10.1.0.11")
        before = await driver.apply(draft.topology())
        held = await owners(driver)
        await driver.close()
        successor = build()
        await successor.open()
        try:
            assert isinstance(successor, RemovesAbandoned)
            for moment in ("before a restarted agent has applied anything", "after it has"):
                left = await successor.abandoned()
                told = {thing.owner for each in left for thing in each.things} - {""}
                assert not told & {port.id, port.network_id}, (
                    f"the driver's own things must not be told as abandoned, {moment}"
                )
                for owner in (port.id, before.vifs[port.id].device, new_id()):
                    with pytest.raises(NotFound):
                        await successor.remove_abandoned(owner)
                assert await owners(successor) == held, (
                    f"a removal of abandoned things must leave the driver's own, {moment}"
                )
                after = await successor.apply(draft.topology())
                assert dict(after.vifs) == dict(before.vifs)
            await successor.apply(Topology(revision=THE_END))
        finally:
            await successor.close()

    async def test_a_metadata_socket_per_network_and_always_the_same(self, driver: NetworkDriver, draft: Draft) -> None:
        if not isinstance(driver, ServesMetadata):
            pytest.skip("the driver does not serve metadata")
        served, second, not_served = draft.network(), draft.network(), draft.network("10.3.0", dhcp=False)
        await driver.apply(draft.topology())
        sockets = await driver.metadata_sockets()
        assert set(sockets) == {served.id, second.id}
        assert not_served.id not in sockets
        again = await driver.metadata_sockets()
        assert all(again[key] is value for key, value in sockets.items())
        del draft.networks[second.id]
        await driver.apply(draft.topology())
        left = await driver.metadata_sockets()
        assert set(left) == {served.id}
        assert left[served.id] is sockets[served.id], "another network's end must not disturb this one"


async def owners(driver: NetworkDriver) -> set[str]:
    """Whom the driver holds something for; nobody when it cannot say."""
    if not isinstance(driver, ListsHoldings):
        return set()
    return {holding.owner for holding in await driver.holdings()}
