"""What hosts note of the networks around their guests."""

import uuid
from typing import Any

from novakit.network.floating_ips import NewFloatingIp
from novakit.network.hosts.noted import NOTHING
from novakit.network.routers import NewRouter, WantedGateway, WantedInterface
from novakit.network.security_group_rules import NewRule
from novakit.network.security_groups import NewSecurityGroup
from novakit.network.subnets import NewSubnet
from tests.unit.network.scenes import settle


async def _guest(bench: Any, host: str, network: str, group: str) -> Any:
    asked = await bench.networks.check_request(bench.member, [{"uuid": network}], [group])
    key, project = str(uuid.uuid4()), bench.member.project_id
    await bench.networks.allocate(server_id=key, project_id=project, hostname="web", requested=asked)
    return (await bench.networks.bind(key, host))[0]


async def _group(bench: Any, name: str, *, trusts: str | None = None) -> str:
    (made,) = await bench.networks.security_groups.create(bench.member, [NewSecurityGroup(name=name)])
    key = str(made.group.id)
    rule = NewRule(security_group_id=key, direction="ingress", remote_group_id=trusts or key)
    await bench.networks.security_group_rules.create(bench.member, [rule])
    return key


async def _scene(bench: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """Put a guest on each of two hosts, with a network, a router and groups of its own, and two on one between them."""
    networks = bench.networks
    admins, outside = bench.admin.project_id, "192.0.2.0/24"
    made = await networks.bootstrap(admin_project_id=admins, external_cidr=outside, gateway="192.0.2.1")
    public = made.network
    nets = {"a": await bench.network("10.0.0.0/24", name="a"), "b": await bench.network("10.1.0.0/24", name="b")}
    await networks.subnets.create(bench.member, [NewSubnet(network_id=nets["a"].id, cidr="10.2.0.0/24")])
    last = await _group(bench, "last")
    groups = {"a": await _group(bench, "first", trusts=await _group(bench, "middle", trusts=last)), "b": last}
    cards = {host: await _guest(bench, host, nets[host].id, groups[host]) for host in ("a", "b")}
    for host in ("a", "b"):
        await _guest(bench, "both", nets[host].id, groups[host])
        gateway = WantedGateway(network_id=public.id)
        (router,) = await networks.routers.create(bench.member, [NewRouter(name=host, gateway=gateway)])
        (subnet, *_) = await networks.subnets.find(bench.member, network_id=[nets[host].id])
        await networks.routers.add_interface(bench.member, router.router.id, WantedInterface(subnet_id=subnet.id))
        leading = NewFloatingIp(floating_network_id=public.id, port_id=cards[host].id)
        await networks.floating_ips.create(bench.member, [leading])
    await networks.host_up("idle")
    await settle(bench)
    return nets, groups


async def test_hosts_that_are_read_together_note_what_each_would_alone_in_as_many_statements(bench: Any) -> None:
    nets, groups = await _scene(bench)
    hosts = ["a", "both", "idle", "b", "unknown"]
    alone, asked = {}, []
    for host in hosts:
        before = bench.networks.store.tally.statements
        alone |= await bench.networks.noted([host])
        asked.append(bench.networks.store.tally.statements - before)
    before = bench.networks.store.tally.statements
    together = await bench.networks.noted(hosts)
    assert together == alone and list(together) == hosts
    assert bench.networks.store.tally.statements - before <= max(asked) < sum(asked)
    assert together["idle"] == together["unknown"] == NOTHING
    for host, other in (("a", "b"), ("b", "a")):
        note = together[host]
        seen = {row["id"] for row in note.networks}
        assert nets[host].id in seen and nets[other].id not in seen
        assert [row["name"] for row in note.routers] == [host] and len(note.floating_ips) == 1
        assert len(note.subnets) == len(note.networks) + (host == "a")
    assert {row["name"] for row in together["a"].groups} == {"first", "middle", "last"}, "and what each of them trusts"
    assert [row["id"] for row in together["b"].groups] == [groups["b"]]
    assert {row["security_group_id"] for row in together["b"].rules} == {groups["b"]}
    assert {row["name"] for row in together["both"].routers} == {"a", "b"} and together["both"].floating_ips == ()
