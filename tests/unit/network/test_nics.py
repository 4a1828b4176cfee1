"""The ports of servers: made once, bound, and given back."""

import asyncio
import uuid
from typing import Any

import attrs
import pytest

from novakit import errors
from novakit.network import NicRequest, PortInfo, Requested
from novakit.network.ports import NewPort


def some_id() -> str:
    return str(uuid.uuid4())


async def server(bench: Any, requested: Any = None, groups: Any = ()) -> list[PortInfo]:
    cards = await bench.networks.check_request(bench.member, requested, groups)
    return await bench.networks.allocate(
        server_id=some_id(), project_id=bench.member.project_id, hostname="web", requested=cards
    )


async def test_a_server_gets_a_card_on_the_only_network(bench: Any) -> None:
    net = await bench.network()
    (card,) = await server(bench)
    assert card.network_id == net.id
    assert card.addresses[0].ip == "10.0.0.2"
    assert card.addresses[0].subnet.gateway_ip == "10.0.0.1"
    assert card.mac.startswith("fa:16:3e:")
    assert [name for _, name in card.security_groups] == ["default"]
    assert card.mtu == 1450


async def test_allocating_twice_gives_the_same_ports(bench: Any) -> None:
    net = await bench.network()
    key = some_id()
    requested = await bench.networks.check_request(bench.member, [{"uuid": net.id}], ())
    asked = {"server_id": key, "project_id": bench.member.project_id, "hostname": "a", "requested": requested}
    first, second = await asyncio.gather(bench.networks.allocate(**asked), bench.networks.allocate(**asked))
    assert first == second == await bench.networks.allocate(**asked)
    assert list((await bench.networks.owners()).values()) == [key]


async def test_one_that_cannot_be_served_does_not_spoil_those_asked_for_together(bench: Any) -> None:
    net = await bench.network()
    good = await bench.networks.check_request(bench.member, [{"uuid": net.id}], ())
    bad = [Requested(network_id=some_id())]
    asks = [
        bench.networks.allocate(server_id=some_id(), project_id="p", hostname="x", requested=cards)
        for cards in (good, bad, good)
    ]
    results = await asyncio.gather(*asks, return_exceptions=True)
    assert [isinstance(result, errors.BadRequest) for result in results] == [False, True, False]


async def test_release_deletes_what_was_made_and_is_quiet_the_second_time(bench: Any) -> None:
    await bench.network()
    (card,) = await server(bench)
    await bench.networks.release(card.server_id)
    await bench.networks.release(card.server_id)
    assert await bench.networks.ports_of([card.server_id]) == {card.server_id: []}
    assert await bench.networks.owners() == {}


async def test_the_port_quota_is_kept_when_servers_are_made_at_once(bench: Any) -> None:
    await bench.network("10.0.0.0/20")
    cards = await bench.networks.check_request(bench.member, None, ())
    with pytest.raises(errors.Forbidden, match="Maximum number of ports exceeded"):
        await bench.networks.check_request(bench.member, None, (), servers=501)
    asks = [
        NicRequest(server_id=some_id(), project_id=bench.member.project_id, hostname="x", requested=cards)
        for _ in range(500)
    ]
    found = await bench.networks.allocate_many(asks)
    assert len({card.addresses[0].ip for (card,) in found}) == 500
    with pytest.raises(errors.Forbidden):
        await bench.networks.allocate(
            server_id=some_id(), project_id=bench.member.project_id, hostname="x", requested=cards
        )


async def test_metadata_knows_a_server_by_network_and_address(bench: Any) -> None:
    net = await bench.network()
    (card,) = await server(bench)
    assert await bench.networks.metadata_port(net.id, "10.0.0.2") == card
    assert await bench.networks.metadata_port(net.id, "10.0.0.3") is None
    assert await bench.networks.metadata_port(some_id(), "10.0.0.2") is None
    assert await bench.networks.metadata_port(net.id, "' or 1=1") is None


async def test_one_more_card_is_attached_once_and_detached(bench: Any) -> None:
    net = await bench.network()
    (card,) = await server(bench)
    (more,) = await bench.networks.check_request(bench.member, [{"uuid": net.id, "fixed_ip": "10.0.0.77"}], ())
    asked = {"port_id": some_id(), "server_id": card.server_id, "project_id": card.project_id, "hostname": "web"}
    first = await bench.networks.attach(**asked, requested=more, host="a")
    assert await bench.networks.attach(**asked, requested=more, host="a") == first
    assert (first.addresses[0].ip, first.host) == ("10.0.0.77", "a")
    await bench.networks.detach(card.server_id, first.id)
    await bench.networks.detach(card.server_id, first.id)
    assert [one.id for one in (await bench.networks.ports_of([card.server_id]))[card.server_id]] == [card.id]


@pytest.mark.parametrize("way", ["network", "port", "alone"])
async def test_a_server_is_on_an_external_network_where_the_rule_for_it_lets_its_owner(bench: Any, way: str) -> None:
    net = await bench.network(external=True)
    (made,) = await bench.networks.ports.create(bench.member, [NewPort(network_id=net.id)])
    asked = {"network": [{"uuid": net.id}], "port": [{"port": made.port.id}], "alone": None}[way]
    told = []

    def decide(context: Any, rule: str, target: Any) -> bool:
        told.append((rule, dict(target)))
        return context.user_id == "let"

    let, other = (attrs.evolve(bench.member, user_id=name, decide=decide) for name in ("let", "other"))
    # Together: what is answered to one is not answered to the other.
    first, second = await asyncio.gather(
        *(bench.networks.check_request(who, asked) for who in (let, other)), return_exceptions=True
    )
    assert [nic.network_id for nic in first] == [net.id]
    assert isinstance(second, errors.Forbidden)
    assert second.kind == "ExternalNetworkAttachForbidden"
    about = {"project_id": bench.member.project_id, "user_id": "other"}
    assert told[-1] == ("network:attach_external_network", about)


async def test_an_external_network_that_is_shared_is_for_everybody(bench: Any) -> None:
    net = await bench.network(external=True, shared=True)
    nobody = attrs.evolve(bench.member, decide=lambda *_: False)
    (nic,) = await bench.networks.check_request(nobody, [{"uuid": net.id}])
    assert nic.network_id == net.id
