"""Routers: a namespace with a leg in each network, and nftables for what leaves and enters."""

import contextlib
import ipaddress
import shutil

from novakit_hookspecs.networks import FloatingIp, Router
from novakit_net_linux.commands import CommandFailed, inside, run
from novakit_net_linux.links import Leg, NamespacePlan
from novakit_net_linux.names import GATEWAY, ROUTER, device, router_namespace

TABLE = "novakit"


def namespace_of(router: Router, mtus: dict[str, int]) -> NamespacePlan:
    """Return the router's namespace; `mtus` holds the networks' by id."""
    legs = [
        Leg(device=device(ROUTER, leg.port_id), mtu=mtus[leg.network_id], addresses=leg.addresses)
        for leg in router.interfaces
    ]
    routes = list(router.routes)
    if gateway := router.gateway:
        held = tuple(f"{floating.address}/32" for floating in router.floating_ips)
        legs.append(
            Leg(
                device=device(GATEWAY, gateway.port_id),
                mtu=mtus[gateway.network_id],
                addresses=gateway.addresses + held,
            )
        )
        for hop in gateway.next_hops:
            routes.append(("0.0.0.0/0" if ipaddress.ip_address(hop).version == 4 else "::/0", hop))
    return NamespacePlan(name=router_namespace(router.id), legs=tuple(legs), routes=tuple(routes), forwards=True)


def ruleset(router: Router) -> str:
    """Return the whole nft table of a router, as one transaction that replaces the last."""
    body = [
        "chain pre { type nat hook prerouting priority dstnat;",
        *(f"  ip daddr {ip.address} dnat to {ip.fixed_ip}" for ip in router.floating_ips),
        "}",
        "chain post { type nat hook postrouting priority srcnat;",
        *_source_nat(router),
        "}",
        "chain pass { type filter hook forward priority filter;",
        *_passing(router),
        "}",
    ]
    return f"add table ip {TABLE}\ndelete table ip {TABLE}\ntable ip {TABLE} {{\n" + "\n".join(body) + "\n}\n"


def _source_nat(router: Router) -> list[str]:
    gateway = router.gateway
    if gateway is None:
        return []
    out = device(GATEWAY, gateway.port_id)
    own = _own_address(router)
    lines = []
    for ip in router.floating_ips:
        lines.append(f'  oifname "{out}" ip saddr {ip.fixed_ip} snat to {ip.address}')
        # From inside to a floating address and back in: the answer has to come back through here.
        lines.append(f"  ct status dnat ip saddr {ip.fixed_ip} snat to {ip.address}")
    if own and gateway.snat:
        lines.append(f'  iifname != "{out}" oifname "{out}" snat to {own}')
    if own:
        lines.append(f'  ct status dnat iifname != "{out}" oifname != "{out}" snat to {own}')
    return lines


def _passing(router: Router) -> list[str]:
    """What is forwarded; each packet is judged, so a floating address that is taken away cuts its connections."""
    # Link-local addresses are the metadata service's, and outside perhaps that of a cloud this host itself lives in.
    link_local = "  ip daddr 169.254.0.0/16 drop"
    gateway = router.gateway
    if gateway is None:
        return [link_local]
    out = device(GATEWAY, gateway.port_id)
    pairs = ", ".join(f"{ip.address} . {ip.fixed_ip}" for ip in router.floating_ips)
    held = f"ct original ip daddr . ct reply ip saddr != {{ {pairs} }}" if pairs else ""
    lines = [link_local, f"  ct status dnat {held} drop"]
    sources = {_own_address(router)} if gateway.snat else set()
    sources |= {ip.address for ip in router.floating_ips}
    shown = ", ".join(sorted(source for source in sources if source))
    lines.append(f"  ct status snat {f'ct reply ip daddr != {{ {shown} }}' if shown else ''} drop")
    if gateway.snat:
        lines.append(f'  iifname "{out}" ct state new ct status ! dnat drop')
        lines.append(f'  iifname "{out}" ct direction original ct status ! dnat drop')
    return lines


def _own_address(router: Router) -> str | None:
    """The router's IPv4 address outside."""
    for address in router.gateway.addresses if router.gateway else ():
        interface = ipaddress.ip_interface(address)
        if interface.version == 4:
            return str(interface.ip)
    return None


async def install(router: Router, timeout: float) -> None:
    """Put a router's rules in force."""
    await run(inside(router_namespace(router.id), ["nft", "-f", "-"]), input=ruleset(router), timeout=timeout)


async def forget(router_id: str, gone: FloatingIp, timeout: float) -> None:
    """Drop the tracked connections of a floating address that was taken away, so that new ones find the new way.

    Without the program `conntrack` they are refused all the same, but a client that repeats the very same connection
    waits until the kernel forgets it.
    """
    if not shutil.which("conntrack"):
        return
    for match in (["-d", gone.address], ["-q", gone.address], ["-s", gone.fixed_ip], ["-r", gone.fixed_ip]):
        with contextlib.suppress(CommandFailed):  # it fails when there were none
            await run(inside(router_namespace(router_id), ["conntrack", "-D", *match]), timeout=timeout)
