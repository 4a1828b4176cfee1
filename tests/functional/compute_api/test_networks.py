"""What a create says of networks, and what is shown of them."""

from functools import partial
from typing import Any

from novakit.network import Networks, Requested
from novakit.network.networks import NewNetwork
from novakit.network.security_group_rules import NewRule
from novakit.network.security_groups import NewSecurityGroup
from novakit.network.subnets import NewSubnet
from tests.functional.compute_api.conftest import authenticate


async def test_a_group_that_is_not_there_is_refused_without_networks_too(
    api: Any, image_id: str, flavor_id: str
) -> None:
    body = {"name": "x", "imageRef": image_id, "flavorRef": flavor_id, "networks": "none"}
    for groups, status in (([{"name": "none-such"}], 400), ([{"name": "default"}], 202)):
        answer = await api("POST", "/v2.1/servers", {"server": {**body, "security_groups": groups}}, version="2.37")
        assert answer.status == status, answer.body


async def test_the_security_groups_of_a_server_tell_their_rules(api: Any, compute: Any, boot: Any) -> None:
    server_id = await boot()
    networks: Networks = compute.networks
    context = await authenticate("ann", "req-1")
    made = await _group_with_rules(networks, context, server_id)
    answer = await api("GET", f"/v2.1/servers/{server_id}/os-security-groups")
    (shown,) = answer.body["security_groups"]
    assert (shown["id"], shown["name"], shown["description"]) == (made, "web", "to the web")
    rules = [(r["ip_protocol"], r["from_port"], r["to_port"], r["ip_range"], r["group"]) for r in shown["rules"]]
    assert sorted(rules, key=str) == sorted(
        [
            ("tcp", 80, 81, {"cidr": "10.0.0.5/24"}, {}),
            ("icmp", -1, -1, {"cidr": "0.0.0.0/0"}, {}),
            ("udp", 1, 65535, {"cidr": "::/0"}, {}),
            (None, None, None, {}, {"name": "web", "tenant_id": "project-a"}),
        ],
        key=str,
    )
    assert all(rule["parent_group_id"] == made for rule in shown["rules"])


async def _group_with_rules(networks: Networks, context: Any, server_id: str) -> str:
    """Make a network, a port of the server on it, and a group with rules that the port is in; return the group's id."""
    (net,) = await networks.networks.create(context, [NewNetwork(name="n")])
    await networks.subnets.create(context, [NewSubnet(network_id=net.network.id, cidr="10.0.0.0/24")])
    asked = NewSecurityGroup(name="web", description="to the web")
    group = (await networks.security_groups.create(context, [asked]))[0].group.id
    rule = partial(NewRule, security_group_id=group, direction="ingress")
    rules = [
        rule(protocol="tcp", port_min=80, port_max=81, remote_ip_prefix="10.0.0.5/24"),
        rule(protocol="icmp"),
        rule(protocol="udp", ethertype="IPv6"),
        rule(remote_group_id=group),
    ]
    await networks.security_group_rules.create(context, rules)
    requested = [Requested(network_id=net.network.id, groups=(group,))]
    await networks.allocate(server_id=server_id, project_id="project-a", hostname="web", requested=requested)
    return group
