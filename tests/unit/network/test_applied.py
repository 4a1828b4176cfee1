"""What is recorded of what hosts made of their topologies."""

from typing import Any

from novakit_hookspecs.networks import Applied, Vif
from tests.unit.network.scenes import bound


async def test_the_state_of_a_port_is_what_its_host_made_of_it(bench: Any) -> None:
    await bench.network()
    card = await bound(bench, "a")
    assert card.status == "BUILD"
    seen = await bench.networks.topology("a")
    await bench.networks.record_applied("a", Applied(revision=seen.revision, faults={card.id: "no tap left"}))
    (card,) = (await bench.networks.ports_of([card.server_id]))[card.server_id]
    assert (card.status, card.fault) == ("DOWN", "no tap left")
    vifs = {card.id: Vif(device="tap0", mtu=1450)}
    await bench.networks.record_applied("a", Applied(revision=seen.revision, vifs=vifs))
    (card,) = (await bench.networks.ports_of([card.server_id]))[card.server_id]
    assert (card.status, card.fault) == ("ACTIVE", None)
