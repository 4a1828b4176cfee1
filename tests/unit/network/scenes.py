"""What several tests of the network service begin with."""

import uuid
from typing import Any

from novakit_hookspecs.networks import Applied, Vif


async def bound(bench: Any, host: str, network: str | None = None) -> Any:
    cards = await bench.networks.check_request(bench.member, [{"uuid": network}] if network else None, ())
    key = str(uuid.uuid4())
    await bench.networks.allocate(server_id=key, project_id=bench.member.project_id, hostname="web", requested=cards)
    return (await bench.networks.bind(key, host))[0]


async def settle(bench: Any) -> None:
    for host in await bench.networks.hosts_behind():
        seen = (await bench.networks.build([host])).topologies[host]
        vifs = {port.id: Vif(device="tap0", mtu=1450) for port in seen.ports}
        await bench.networks.record_applied(host, Applied(revision=seen.revision, vifs=vifs))
    assert await bench.networks.hosts_behind() == []
