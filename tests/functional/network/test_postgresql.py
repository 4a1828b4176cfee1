"""The same promises where transactions really run side by side."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import sqlalchemy as sa

from novakit import errors
from novakit.context import RequestContext
from novakit.network import Networks
from novakit.network.hosts import applied
from novakit.network.networks import NewNetwork
from novakit.network.ports import NewPort, PortChange
from novakit.network.records import WantedAddress
from novakit.network.subnets import NewSubnet
from novakit.store.network import hosts, rows
from novakit.store.network.ports import StoredPort
from novakit.store.network.topologies.applied import HostState, states
from novakit.store.network.touched import Touched, touch
from novakit_hookspecs.networks import Applied, Vif
from tests.support.stores import open_store


@pytest.fixture
async def networks(postgres_with_tables: str) -> AsyncIterator[Networks]:
    store = await open_store(postgres_with_tables)
    yield Networks(store)
    await store.close()


async def test_no_address_is_given_twice_and_nothing_fails_that_need_not(networks: Networks) -> None:
    caller = RequestContext(request_id="r", user_id="u", project_id="p", roles=frozenset({"member"}))

    made = await asyncio.gather(*(networks.networks.create(caller, [NewNetwork(name="n")]) for _ in range(8)))
    net = made[0][0].network.id
    asked = NewSubnet(network_id=net, cidr="10.0.0.0/26")
    ranges = [networks.subnets.create(caller, [asked]) for _ in range(4)]
    results = await asyncio.gather(*ranges, return_exceptions=True)
    assert sum(isinstance(result, list) for result in results) == 1, "subnets of one network do not overlap"
    await networks.host_up("gw")
    found = await asyncio.gather(*(networks.ports.create(caller, [NewPort(network_id=net)]) for _ in range(50)))
    assert len({one.port.addresses[0][0] for (one,) in found}) == 50
    cards = await networks.check_request(caller, [{"uuid": net}])
    keys = [str(uuid.uuid4()) for _ in range(20)]
    wired = [networks.allocate(server_id=key, project_id="p", hostname="h", requested=cards) for key in [*keys, *keys]]
    rest = await asyncio.gather(*wired, return_exceptions=True)
    assert sum(isinstance(one, list) for one in rest) == 22, "eleven servers, each asked for twice"
    assert all(isinstance(one, errors.Conflict) for one in rest if not isinstance(one, list))
    for key in keys:
        await networks.bind(key, "a")
    top = (await networks.build(["a"])).topologies["a"]
    assert len({port.addresses[0].ip for port in top.ports}) == 11


async def test_ports_are_listed_with_what_hangs_on_them(networks: Networks) -> None:
    caller = RequestContext(request_id="r", user_id="u", project_id="p", roles=frozenset({"member"}))
    ((net,),) = [await networks.networks.create(caller, [NewNetwork(name="n")])]
    key = net.network.id
    await networks.subnets.create(caller, [NewSubnet(network_id=key, cidr="10.0.0.0/26")])
    (full, bare) = await networks.ports.create(
        caller, [NewPort(network_id=key), NewPort(network_id=key, fixed_ips=(), port_security=False)]
    )
    wanted = tuple(WantedAddress(ip_address=f"10.0.0.{number}") for number in (30, 20))
    changed = await networks.ports.update(caller, full.port.id, PortChange(fixed_ips=wanted))
    listed = {one.port.id: one.port for one in await networks.ports.find(caller)}
    assert [number & 255 for number, _ in listed[full.port.id].addresses] == [20, 30]
    assert listed[full.port.id].groups == full.port.groups and len(full.port.groups) == 1
    assert listed[full.port.id] == changed.port
    assert listed[bare.port.id].addresses == listed[bare.port.id].groups == []


async def test_a_host_that_two_transactions_add_at_once_must_see_what_both_change(networks: Networks) -> None:
    store, added = networks.store, asyncio.Event()

    async def seen() -> tuple[int, str]:
        async with store.read() as session:
            row = await hosts.host(session, "h")
        assert row is not None and row.shape_of == row.wanted
        return row.wanted, row.shape

    async def add() -> None:
        async with store.write() as session:
            await touch(session, Touched(hosts={"h"}))
            added.set()
            async with asyncio.timeout(20), store.read() as look:
                while not await look.scalar(sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")):
                    await asyncio.sleep(0.02)

    first = asyncio.create_task(add())
    await added.wait()
    async with store.write() as session:
        await touch(session, Touched(hosts={"h"}))
        await first
        before = await seen()
    now = await seen()
    assert now[0] > before[0] and now[1] != before[1]


async def _unbind(networks: Networks, server_id: str) -> None:
    await networks.unbind(server_id)


async def _release(networks: Networks, server_id: str) -> None:
    await networks.release(server_id)


async def _move(networks: Networks, server_id: str) -> None:
    await networks.unbind(server_id)
    await networks.bind(server_id, "b")


@pytest.mark.parametrize(
    "leave,state", [(_unbind, (None, "DOWN")), (_release, (None, "DOWN")), (_move, ("b", "BUILD"))]
)
async def test_a_port_that_leaves_its_host_while_that_answers_is_not_active(
    networks: Networks,
    monkeypatch: pytest.MonkeyPatch,
    leave: Callable[[Networks, str], Awaitable[None]],
    state: tuple[str | None, str],
) -> None:
    caller = RequestContext(request_id="r", user_id="u", project_id="p", roles=frozenset({"member"}))
    (net,) = await networks.networks.create(caller, [NewNetwork(name="n")])
    await networks.subnets.create(caller, [NewSubnet(network_id=net.network.id, cidr="10.0.0.0/26")])
    (made,) = await networks.ports.create(caller, [NewPort(network_id=net.network.id)])
    port, server = made.port.id, str(uuid.uuid4())
    cards = await networks.check_request(caller, [{"port": port}])
    await networks.allocate(server_id=server, project_id="p", hostname="h", requested=cards)
    await networks.bind(server, "a")

    async def read_and_leave(*asked: Any, **more: Any) -> dict[str, HostState]:
        found = await states(*asked, **more)
        await leave(Networks(networks.store), server)
        return found

    monkeypatch.setattr(applied, "states", read_and_leave)
    await networks.record_applied("a", Applied(revision=1, vifs={port: Vif(device="tap0", mtu=1450)}))
    async with networks.store.read() as session:
        row = await rows.one(session, StoredPort, id=port)
    assert row is not None and (row.host, row.status) == state
