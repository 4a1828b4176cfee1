"""What a request for a server may say of its network."""

import uuid
from typing import Any

import pytest

from novakit import errors


async def test_without_any_network_a_server_has_no_card(bench: Any) -> None:
    assert await bench.networks.check_request(bench.member, None, ()) == []
    with pytest.raises(errors.BadRequest):
        await bench.networks.check_request(bench.member, "auto", ())


async def test_several_networks_are_ambiguous(bench: Any) -> None:
    await bench.network()
    await bench.network("10.1.0.0/24")
    with pytest.raises(errors.Conflict, match="Multiple possible networks found"):
        await bench.networks.check_request(bench.member, None, ())


async def test_a_network_without_subnet_is_refused(bench: Any) -> None:
    net = await bench.network(None)
    with pytest.raises(errors.BadRequest, match="requires at least one subnet"):
        await bench.networks.check_request(bench.member, [{"uuid": net.id}], ())


@pytest.mark.parametrize("wish", [{"uuid": "nope"}, {"port": "nope"}, {"uuid": str(uuid.uuid4())}])
async def test_an_unknown_network_or_port_is_a_bad_request(bench: Any, wish: Any) -> None:
    with pytest.raises(errors.BadRequest):
        await bench.networks.check_request(bench.member, [wish], ())


async def test_an_unknown_security_group_is_a_bad_request(bench: Any) -> None:
    await bench.network()
    with pytest.raises(errors.BadRequest, match="web-sg"):
        await bench.networks.check_request(bench.member, None, ["web-sg"])
