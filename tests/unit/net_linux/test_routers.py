"""What the routers are told."""

import os
import shutil
import subprocess

import attrs
import pytest

from novakit_hookspecs.networks import Router
from novakit_hookspecs.testing.topologies import Draft
from novakit_host.commands import SEARCH
from novakit_net_linux import names, routers
from novakit_net_linux.links import Leg


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


def drawn() -> tuple[Draft, Router]:
    """Draw a router with one network inside, one outside, and a floating address."""
    draft = Draft()
    inner, external = draft.network(mtu=1400), draft.network("203.0.113", physical_network="public", mtu=1500)
    router = draft.router([inner], external, "203.0.113.9")
    draft.float(router, "203.0.113.50", "10.1.0.11")
    return draft, draft.routers[router.id]


def chain(rules: str, name: str) -> list[str]:
    """Return the rules of one chain."""
    lines = rules.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"chain {name} "))
    return [line.strip() for line in lines[start + 1 : lines.index("}", start)]]


def test_the_rules_replace_the_last_ones_in_one_transaction() -> None:
    _, router = drawn()
    lines = routers.ruleset(router).splitlines()
    assert [*lines[:3], lines[-1]] == ["add table ip novakit", "delete table ip novakit", "table ip novakit {", "}"]


def test_a_floating_address_leads_in_and_out_and_everybody_else_shares_the_routers() -> None:
    _, router = drawn()
    assert router.gateway is not None
    out, rules = names.device(names.GATEWAY, router.gateway.port_id), routers.ruleset(router)
    assert chain(rules, "pre") == ["ip daddr 203.0.113.50 dnat to 10.1.0.11"]
    assert chain(rules, "post") == [
        f'oifname "{out}" ip saddr 10.1.0.11 snat to 203.0.113.50',
        "ct status dnat ip saddr 10.1.0.11 snat to 203.0.113.50",
        f'iifname != "{out}" oifname "{out}" snat to 203.0.113.9',
        f'ct status dnat iifname != "{out}" oifname != "{out}" snat to 203.0.113.9',
    ]


def test_a_packet_passes_only_by_a_translation_that_still_stands() -> None:
    _, router = drawn()
    assert router.gateway is not None
    out = names.device(names.GATEWAY, router.gateway.port_id)
    assert chain(routers.ruleset(router), "pass") == [
        "ip daddr 169.254.0.0/16 drop",
        "ct status dnat ct original ip daddr . ct reply ip saddr != { 203.0.113.50 . 10.1.0.11 } drop",
        "ct status snat ct reply ip daddr != { 203.0.113.50, 203.0.113.9 } drop",
        f'iifname "{out}" ct state new ct status ! dnat drop',
        f'iifname "{out}" ct direction original ct status ! dnat drop',
    ]


def test_without_floating_addresses_or_a_shared_one_every_old_translation_is_cut() -> None:
    _, router = drawn()
    assert router.gateway is not None
    gateway = attrs.evolve(router.gateway, snat=False)
    rules = routers.ruleset(attrs.evolve(router, gateway=gateway, floating_ips=()))
    assert chain(rules, "pass") == ["ip daddr 169.254.0.0/16 drop", "ct status dnat  drop", "ct status snat  drop"]
    assert chain(rules, "pre") == []


def test_an_address_outside_that_is_of_ipv6_translates_no_ipv4() -> None:
    _, router = drawn()
    assert router.gateway is not None
    gateway = attrs.evolve(router.gateway, addresses=("2001:db8::9/64",))
    rules = routers.ruleset(attrs.evolve(router, gateway=gateway, floating_ips=()))
    assert chain(rules, "post") == []
    both = attrs.evolve(gateway, addresses=("2001:db8::9/64", "203.0.113.9/24"))
    assert "snat to 203.0.113.9" in routers.ruleset(attrs.evolve(router, gateway=both))


def test_the_namespace_has_a_leg_in_each_network_and_the_floating_addresses_outside() -> None:
    draft, router = drawn()
    (inner, external), (leg,), gateway = draft.networks.values(), router.interfaces, router.gateway
    assert gateway is not None
    plan = routers.namespace_of(router, {inner.id: inner.mtu, external.id: external.mtu})
    assert plan.name == names.router_namespace(router.id) and plan.forwards
    assert plan.legs == (
        Leg(device=names.device(names.ROUTER, leg.port_id), mtu=1400, addresses=("10.1.0.1/24",)),
        Leg(
            device=names.device(names.GATEWAY, gateway.port_id),
            mtu=1500,
            addresses=("203.0.113.9/24", "203.0.113.50/32"),
        ),
    )
    assert plan.routes == (("0.0.0.0/0", "203.0.113.1"),)


def test_the_routers_own_routes_come_before_the_way_out_of_each_family() -> None:
    draft, router = drawn()
    assert router.gateway is not None
    gateway = attrs.evolve(router.gateway, next_hops=("203.0.113.1", "2001:db8::1"))
    own = (("10.9.0.0/16", "10.1.0.9"),)
    mtus = {network.id: network.mtu for network in draft.networks.values()}
    plan = routers.namespace_of(attrs.evolve(router, gateway=gateway, routes=own), mtus)
    assert plan.routes == (*own, ("0.0.0.0/0", "203.0.113.1"), ("::/0", "2001:db8::1"))
    inside = routers.namespace_of(attrs.evolve(router, gateway=None, routes=own), mtus)
    assert inside.routes == own and len(inside.legs) == 1


@pytest.mark.skipif(not shutil.which("nft", path=SEARCH) or os.geteuid() != 0, reason="needs nft and root")
@pytest.mark.parametrize("floating", [True, False])
@pytest.mark.parametrize("snat", [True, False])
def test_nft_takes_the_rules(floating: bool, snat: bool) -> None:
    _, router = drawn()
    assert router.gateway is not None
    if not floating:
        router = attrs.evolve(router, floating_ips=())
    router = attrs.evolve(router, gateway=attrs.evolve(router.gateway, snat=snat))
    done = subprocess.run(
        ["unshare", "--net", "nft", "-f", "-"],
        input=routers.ruleset(router) * 2,
        env={**os.environ, "PATH": SEARCH},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if "Operation not permitted" in done.stderr:
        pytest.skip(f"no network namespace of its own here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
