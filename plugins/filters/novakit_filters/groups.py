"""Near to and far from other servers: server groups, and the hints that name servers or addresses."""

import ipaddress
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from novakit_filters.standing import present, reason
from novakit_hookspecs.scheduling import Ask, HostColumns, Reason

if TYPE_CHECKING:
    from numpy.typing import NDArray


def _below(hosts: HostColumns, ask: Ask) -> "NDArray[np.bool_]":
    """Return which hosts hold fewer members of the group than they may."""
    mask = np.ones(hosts.size, np.bool_)
    if ask.group is not None:
        limit = ask.group.max_server_per_host or 1
        mask[hosts.rows(name for name, count in ask.group.hosts.items() if count >= limit)] = False
    return mask


def _higher(hosts: HostColumns, ask: Ask) -> str:
    """Return which limit would let the host through that holds the fewest members."""
    counts = [ask.group.hosts.get(name, 0) if ask.group else 0 for name in hosts.names]
    return f"a max_server_per_host of {min(counts, default=0) + 1}"


class GroupAffinity:
    """Keep the host where the other members of an affinity group stand."""

    def applies(self, ask: Ask) -> bool:
        return ask.group is not None and ask.group.policy == "affinity" and bool(ask.group.hosts)

    def mask(self, hosts: HostColumns, ask: Ask) -> "NDArray[np.bool_]":
        if ask.group is None or not self.applies(ask):
            return np.ones(hosts.size, np.bool_)
        mask = np.zeros(hosts.size, np.bool_)
        mask[hosts.rows(ask.group.hosts)] = True
        return mask

    def why(self, hosts: HostColumns, ask: Ask) -> Sequence[Reason]:
        everyone = np.ones(hosts.size, np.bool_)
        text = "not where the other servers of the group are"
        return present(reason("group_affinity", everyone, text, remedy="the policy soft-affinity"))


class GroupAntiAffinity:
    """Keep hosts that hold fewer members of an anti-affinity group than they may: one, or `max_server_per_host`."""

    def applies(self, ask: Ask) -> bool:
        return ask.group is not None and ask.group.policy == "anti-affinity" and bool(ask.group.hosts)

    def mask(self, hosts: HostColumns, ask: Ask) -> "NDArray[np.bool_]":
        return _below(hosts, ask) if self.applies(ask) else np.ones(hosts.size, np.bool_)

    def why(self, hosts: HostColumns, ask: Ask) -> Sequence[Reason]:
        everyone = np.ones(hosts.size, np.bool_)
        text = "hold servers of the same group already"
        remedy = f"one more host, the policy soft-anti-affinity, or {_higher(hosts, ask)}"
        return present(reason("group_anti_affinity", everyone, text, remedy=remedy, shortfall=0.5))


class GroupLimit:
    """Keep hosts below `max_server_per_host` of the group, whatever its policy."""

    def applies(self, ask: Ask) -> bool:
        group = ask.group
        return group is not None and group.max_server_per_host is not None and group.policy != "anti-affinity"

    def mask(self, hosts: HostColumns, ask: Ask) -> "NDArray[np.bool_]":
        return _below(hosts, ask) if self.applies(ask) else np.ones(hosts.size, np.bool_)

    def why(self, hosts: HostColumns, ask: Ask) -> Sequence[Reason]:
        everyone = np.ones(hosts.size, np.bool_)
        limit = ask.group.max_server_per_host if ask.group else None
        text = f"hold {limit} servers of the same group already"
        return present(reason("group_limit", everyone, text, remedy=_higher(hosts, ask), shortfall=0.5))


def _listed(hint: object) -> list[str]:
    return [one for one in (hint if isinstance(hint, list) else [hint]) if isinstance(one, str) and one]


class DifferentHost:
    """Leave out the hosts of the servers that the hint `different_host` names."""

    def applies(self, ask: Ask) -> bool:
        return bool(_listed(ask.hints.get("different_host")))

    def mask(self, hosts: HostColumns, ask: Ask) -> "NDArray[np.bool_]":
        mask = np.ones(hosts.size, np.bool_)
        named = {ask.server_hosts.get(server, "") for server in _listed(ask.hints.get("different_host"))}
        mask[hosts.rows(named)] = False
        return mask

    def why(self, hosts: HostColumns, ask: Ask) -> Sequence[Reason]:
        everyone = np.ones(hosts.size, np.bool_)
        text = "hold a server that the hint different_host names"
        return present(reason("different_host", everyone, text, remedy="the hint left out"))


class SameHost:
    """Keep the hosts of the servers that the hint `same_host` names."""

    def applies(self, ask: Ask) -> bool:
        return bool(_listed(ask.hints.get("same_host")))

    def mask(self, hosts: HostColumns, ask: Ask) -> "NDArray[np.bool_]":
        if not self.applies(ask):
            return np.ones(hosts.size, np.bool_)
        mask = np.zeros(hosts.size, np.bool_)
        named = {ask.server_hosts.get(server, "") for server in _listed(ask.hints.get("same_host"))}
        mask[hosts.rows(named)] = True
        return mask

    def why(self, hosts: HostColumns, ask: Ask) -> Sequence[Reason]:
        everyone = np.ones(hosts.size, np.bool_)
        text = "hold none of the servers that the hint same_host names"
        return present(reason("same_host", everyone, text, remedy="the hint left out"))


class SimpleCidrAffinity:
    """Keep hosts whose address lies in the network of the hints `build_near_host_ip` and `cidr` (/24 without it)."""

    def applies(self, ask: Ask) -> bool:
        return bool(ask.hints.get("build_near_host_ip"))

    def mask(self, hosts: HostColumns, ask: Ask) -> "NDArray[np.bool_]":
        if not self.applies(ask):
            return np.ones(hosts.size, np.bool_)
        near, cidr = _first(ask.hints.get("build_near_host_ip")), _first(ask.hints.get("cidr")) or "/24"
        try:
            network = ipaddress.ip_network(f"{near}/{cidr.lstrip('/')}", strict=False)
        except ValueError:
            return np.zeros(hosts.size, np.bool_)
        return np.fromiter((_inside(ip, network) for ip in hosts.column("host_ip")), np.bool_, hosts.size)

    def why(self, hosts: HostColumns, ask: Ask) -> Sequence[Reason]:
        everyone = np.ones(hosts.size, np.bool_)
        text = "not near the address of the hint build_near_host_ip"
        return present(reason("not_near", everyone, text, remedy="a wider cidr, or a readable address in the hint"))


def _first(hint: object) -> str:
    found = _listed(hint)
    return found[0] if found else ""


def _inside(ip: str | None, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    try:
        return bool(ip) and ipaddress.ip_address(ip or "") in network
    except ValueError:
        return False
