"""What the DHCP servers and the routers are told."""

import attrs
import pytest

from novakit_hookspecs.networks import Lease
from novakit_hookspecs.testing.topologies import Draft, new_id
from novakit_net_linux import dhcp, routers


def lease(hostname: str, ip: str = "10.1.0.11", mac: str = "fa:16:3e:00:00:11") -> Lease:
    return Lease(port_id=new_id(), mac=mac, ip=ip, hostname=hostname)


@pytest.mark.parametrize(
    ("wanted", "given"),
    [
        ("web", "web"),
        ("Web.example.org", "web"),
        ("a\ndhcp-option=3,6.6.6.6", "host-10-1-0-11"),
        ("x,ignore", "host-10-1-0-11"),
        ("-dash", "host-10-1-0-11"),
        ("n" * 64, "host-10-1-0-11"),
        ("", "host-10-1-0-11"),
        ("é", "host-10-1-0-11"),
        ("#", "host-10-1-0-11"),
    ],
)
def test_only_a_label_is_a_host_name(wanted: str, given: str) -> None:
    assert dhcp.safe_hostname(wanted, "10.1.0.11") == given


def test_leases_are_one_line_each_and_names_are_told_once() -> None:
    network = attrs.evolve(
        Draft().network(),
        leases=(lease("web"), lease("web", "10.1.0.12", "fa:16:3e:00:00:12"), lease("far", "192.0.2.1")),
    )
    hosts = dhcp.render(network, "nd-0", 3).hosts
    assert hosts == "fa:16:3e:00:00:11,10.1.0.11,web\nfa:16:3e:00:00:12,10.1.0.12,host-10-1-0-12\n"


def test_a_lease_with_a_bad_address_is_refused() -> None:
    for bad in (lease("web", "10.1.0.11\n"), lease("web", mac="fa:16:3e:00:00:11,ignore")):
        with pytest.raises(ValueError, match=r".+"):
            dhcp.check(bad)


def test_a_subnet_without_gateway_names_no_router() -> None:
    network = Draft().network()
    subnet = attrs.evolve(network.subnets[0], gateway_ip=None, host_routes=(("10.9.0.0/16", "10.1.0.9"),))
    options = dhcp.render(attrs.evolve(network, subnets=(subnet,)), "nd-0", 3).options.splitlines()
    tag = "tag:s" + subnet.id.replace("-", "")
    assert f"{tag},option:router" in options
    routes = "169.254.169.254/32,10.1.0.2,10.9.0.0/16,10.1.0.9"
    assert f"{tag},option:classless-static-route,{routes}" in options


def test_dnsmasq_answers_no_names_and_gives_no_strangers_addresses() -> None:
    config = dhcp.render(Draft().network(), "nd-0", 3).config.splitlines()
    assert {"port=0", "no-resolv", "no-hosts"} <= set(config)
    assert all("static" in line for line in config if line.startswith("dhcp-range"))


def test_a_router_without_a_way_out_translates_nothing() -> None:
    draft = Draft()
    router = draft.router([draft.network()])
    assert "snat" not in routers.ruleset(router)
    assert "dnat" not in routers.ruleset(router)


def test_a_router_that_does_not_hide_its_networks_lets_the_outside_in() -> None:
    draft = Draft()
    external = draft.network("203.0.113", physical_network="public")
    router = draft.router([draft.network()], external, "203.0.113.9")
    assert router.gateway is not None
    open_router = attrs.evolve(router, gateway=attrs.evolve(router.gateway, snat=False))
    assert "snat to 203.0.113.9" in routers.ruleset(router)
    assert "ct direction original" in routers.ruleset(router)
    assert "ct direction original" not in routers.ruleset(open_router)
