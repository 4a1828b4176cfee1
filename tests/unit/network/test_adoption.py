"""Ports that are made again from a note, and who hears of it."""

import uuid
from collections.abc import Sequence
from typing import Any

import pytest

from novakit.network import Networks
from novakit.network.hosts.adoption import restore
from novakit.network.hosts.noted import HeardNetworks
from novakit.network.hosts.regained import Regaining
from novakit.network.records import NotedAddress, NotedPort, PortInfo
from novakit.store.engine import Session
from novakit.store.network.touched import Touched
from novakit_hookspecs.networks import Subnet
from tests.unit.network.conftest import PROJECT
from tests.unit.network.scenes import bound


def _noted(port: PortInfo, **values: Any) -> NotedPort:
    known = {name: getattr(port, name) for name in ("id", "network_id", "network_name", "mac", "mtu", "made", "tag")}
    return NotedPort(**{**known, "addresses": (), "groups": (), **values})


async def _adopt(bench: Any, server: str, host: str, noted: Sequence[NotedPort]) -> None:
    async def work(session: Session, touched: Touched) -> None:
        around = Regaining(session=session, heard=HeardNetworks(), was=PROJECT, project_id=PROJECT, is_sealed=True)
        await restore(
            session,
            touched,
            noted,
            server_id=server,
            project_id=PROJECT,
            hostname="web",
            host=host,
            zone="nova",
            beyond={},
            around=around,
        )

    await bench.networks.write(work)


@pytest.fixture
async def port(bench: Any) -> PortInfo:
    net = await bench.network()
    await bench.networks.set_gateway("gw")
    found: PortInfo = await bound(bench, "b", net.id)
    await bench.networks.build(["b"])
    return found


async def test_a_subnet_that_comes_back_with_a_port_is_heard_of_by_every_host_of_its_network(
    bench: Any, port: PortInfo
) -> None:
    subnet = Subnet(id=str(uuid.uuid4()), cidr="10.0.5.0/24", gateway_ip="10.0.5.1")
    noted = _noted(
        port, id=str(uuid.uuid4()), mac="fa:16:3e:00:00:77", addresses=(NotedAddress(ip="10.0.5.9", subnet=subnet),)
    )
    await _adopt(bench, str(uuid.uuid4()), "a", [noted])
    seen = (await bench.networks.build(["b"])).topologies["b"]
    assert seen == (await Networks(bench.networks.store).build(["b"])).topologies["b"]
    assert [each.cidr for each in seen.networks[0].subnets] == ["10.0.0.0/24", "10.0.5.0/24"]


async def test_a_port_that_is_taken_over_from_another_host_is_not_there_any_more(bench: Any, port: PortInfo) -> None:
    await _adopt(bench, port.server_id, "a", [_noted(port)])
    assert (await bench.networks.build(["b"])).topologies["b"].ports == ()
    assert [each.id for each in (await bench.networks.build(["a"])).topologies["a"].ports] == [port.id]
