"""What stood around a guest's ports, made again from what its host noted: groups, networks, routers, floating IPs.

The invariant: what the database has stays as it is; only what it lacks is made, under the id, with the addresses and
MACs that it had, so that hosts find nothing to change. Whatever somebody else has meanwhile is left out and said.
The cost: a few reads for each thing around the ports of one guest, when an operator or a restored backup asks for it.
"""

from collections.abc import Collection, Iterable

import attrs

from novakit.network.allocation.addresses import ip_of
from novakit.network.hosts.noted import HeardNetworks, NotedNetworks
from novakit.network.interfaces import GATEWAY, INTERFACE
from novakit.network.security_group_rules import default_group_id
from novakit.store.engine import Session
from novakit.store.identity import directory as identity
from novakit.store.network import rows
from novakit.store.network.floating_ips import StoredFloatingIp
from novakit.store.network.networks import StoredNetwork
from novakit.store.network.ports import StoredAddress, StoredPort, first_taken
from novakit.store.network.remade import NotedRow, again
from novakit.store.network.routers import StoredRouter
from novakit.store.network.security_group_rules import StoredRule
from novakit.store.network.security_groups import StoredSecurityGroup
from novakit.store.network.subnets import StoredSubnet


@attrs.define(kw_only=True)
class Regaining:
    """Makes again what one adopted server needs."""

    session: Session
    heard: HeardNetworks
    was: str
    """The project that the server had."""
    project_id: str
    """The one it has now."""
    is_sealed: bool
    """Whether the database wrote what was noted of the server; else it is its host's word, for the server alone."""
    may_open: bool = True
    """Whether networks of all projects, and external ones, are made by what is not sealed: by one database alone, that
    which took the place of a lost one, since all such networks may be lost with it."""
    noted: NotedNetworks = attrs.field(init=False)
    left: list[str] = attrs.field(factory=list)
    """What could not be made again, in words."""

    def __attrs_post_init__(self) -> None:
        """Pass over what others own, where nothing but a host says that they own it."""
        self.noted = self.heard.noted
        if self.is_sealed:
            return
        kinds = ("groups", "rules", "routers", "floating_ips")
        own = {kind: tuple(row for row in getattr(self.noted, kind) if row["project_id"] == self.was) for kind in kinds}
        trusted = {None, *(row["id"] for row in own["groups"])}
        own["rules"] = tuple(row for row in own["rules"] if row["remote_group_id"] in trusted)
        self.noted = attrs.evolve(self.noted, **own)

    def _is_ours(self, router: StoredRouter) -> bool:
        return self.is_sealed or router.project_id == self.project_id

    def may_use(self, network: StoredNetwork) -> bool:
        """Return whether the server may be given to a network that is here."""
        return self.is_sealed or network.shared or network.external or network.project_id == self.project_id

    @property
    def may_make_open(self) -> bool:
        """Return whether networks that more than the server's project uses may be made."""
        return self.is_sealed or self.may_open

    def port(self, id: str) -> NotedRow | None:
        """Return what was noted of a port."""
        return _by_id(self.noted.ports, id)

    def network(self, id: str) -> NotedRow | None:
        """Return what was noted of a network."""
        return _by_id(self.noted.networks, id)

    def subnet(self, id: str) -> NotedRow | None:
        """Return what was noted of a subnet."""
        return _by_id(self.noted.subnets, id)

    async def owner(self, project: str) -> str:
        """Return whose a thing is to be that a project had: a project that is gone leaves it to the server's.

        By a note that is not sealed everything is the server's project's, so that it takes no other one's quota.
        """
        if project == self.was or not self.may_make_open:
            return self.project_id
        if project and await identity.by_id(self.session, identity.projects, project) is None:
            return self.project_id
        return project

    async def groups(self, port_ids: Collection[str]) -> None:
        """Make the security groups of ports, and those that their rules trust, where they are gone."""
        wanted = {pair["group_id"] for pair in self.noted.port_groups if pair["port_id"] in port_ids}
        known: set[str] = set()
        while wanted - known:
            known |= wanted
            trusted = {rule["remote_group_id"] for rule in self.noted.rules if rule["security_group_id"] in known}
            wanted = trusted - {None}
        made: set[str] = set()
        for group in self.noted.groups:
            if group["id"] in known and await self._group(group):
                made.add(group["id"])
        lines = [rule for rule in self.noted.rules if rule["security_group_id"] in made]
        new = [again(StoredRule, rule, project_id=await self.owner(rule["project_id"])) for rule in lines]
        await rows.add(self.session, new)

    async def _group(self, group: NotedRow) -> bool:
        """Make a group, and say whether it was gone; of one that is there, say where its rules are others."""
        there = await rows.one(self.session, StoredSecurityGroup, id=group["id"])
        if there is None:
            owner, name = await self.owner(group["project_id"]), group["name"]
            if name == "default" and group["id"] != default_group_id(owner):
                # Its new project has a default group of its own, whose other members this one's rules must not reach.
                name = f"default of {group['project_id']}"
            await rows.add(self.session, [again(StoredSecurityGroup, group, project_id=owner, name=name)])
            return True
        have = {rule.meaning for rule in await rows.find(self.session, StoredRule, security_group_id=group["id"])}
        had = {rule["meaning"] for rule in self.noted.rules if rule["security_group_id"] == group["id"]}
        if have != had:
            self.left.append(
                f"The security group {group['id']} has other rules than its host noted: {len(had - have)} of those are "
                f"missing, and {len(have - had)} are new."
            )
        return False

    async def routers(self, network_ids: Collection[str]) -> None:
        """Make the routers on networks, with the legs whose networks are here, and their gateways."""
        joined = {
            port["device_id"]
            for port in self.noted.ports
            if port["network_id"] in network_ids and port["device_owner"] == INTERFACE
        }
        for router in self.noted.routers:
            if router["id"] not in joined:
                continue
            there = await rows.one(self.session, StoredRouter, id=router["id"])
            if there is not None and not self._is_ours(there):
                self.left.append(f"The router {router['id']} belongs to another project now.")
                continue
            if there is None:
                owner = await self.owner(router["project_id"])
                bare = {"external_network_id": None, "gateway_port_id": None}
                await rows.add(self.session, [again(StoredRouter, router, project_id=owner, **bare)])
            for leg in self.noted.ports:
                if leg["device_id"] == router["id"] and leg["device_owner"] == INTERFACE:
                    await self._leg(router, leg)
            await self._gateway(router)

    async def _leg(self, router: NotedRow, leg: NotedRow) -> None:
        if await rows.one(self.session, StoredPort, id=leg["id"]):
            return
        network = await rows.one(self.session, StoredNetwork, id=leg["network_id"])
        if network is None:
            self.left.append(
                f"The router {router['id']} has no interface on the network {leg['network_id']}, which does not exist; "
                "both are made again when a guest on that network is adopted."
            )
        elif not self.may_use(network):
            said = f"The router {router['id']} has no interface on the network {network.id}"
            self.left.append(f"{said}: the network belongs to another project.")
        elif why := await self._place(leg, network):
            self.left.append(f"The router {router['id']} has no interface on the network {network.id}: {why}")

    async def _gateway(self, router: NotedRow) -> None:
        (now,) = await rows.lock(self.session, StoredRouter, id=router["id"])
        leg = self.port(router["gateway_port_id"] or "")
        if now.gateway_port_id or leg is None or leg["device_owner"] != GATEWAY:
            return
        network = await self.external(leg["network_id"])
        why = f"there is no external network {leg['network_id']}." if network is None else None
        if network is not None and (why := await self._place(leg, network)) is None:
            gateway = {"external_network_id": network.id, "gateway_port_id": leg["id"]}
            await rows.change(self.session, StoredRouter, router["id"], **gateway)
        if why:
            self.left.append(f"The router {router['id']} has no gateway: {why}")

    async def floating(self, port_ids: Collection[str]) -> None:
        """Make the floating IPs that led to ports."""
        for floating in self.noted.floating_ips:
            if floating["port_id"] not in port_ids or await rows.one(self.session, StoredFloatingIp, id=floating["id"]):
                continue
            if why := await self._floating(floating):
                self.left.append(f"The floating IP {floating['address']} is not associated with its port: {why}")

    async def _floating(self, floating: NotedRow) -> str | None:
        leg, network = self.port(floating["floating_port_id"]), await self.external(floating["external_network_id"])
        if network is None or leg is None:
            return f"there is no external network {floating['external_network_id']}."
        router = await rows.one(self.session, StoredRouter, id=floating["router_id"])
        if router is None or router.external_network_id != network.id or not self._is_ours(router):
            return f"the router {floating['router_id']} has no gateway on the network {network.id}."
        if why := await self._place(leg, network):
            return why
        owner = await self.owner(floating["project_id"])
        row = again(StoredFloatingIp, floating, project_id=owner, external_network_id=network.id)
        await rows.add(self.session, [row])
        return None

    async def dhcp(self, port_ids: Iterable[str]) -> None:
        """Make ports of DHCP with the addresses that guests know; another address serves as well."""
        for id in port_ids:
            leg = self.port(id)
            network = await rows.one(self.session, StoredNetwork, id=leg["network_id"]) if leg else None
            if (
                leg is not None
                and network
                and self.may_use(network)
                and not await rows.one(self.session, StoredPort, id=id)
            ):
                await self._place(leg, network)

    async def external(self, id: str) -> StoredNetwork | None:
        """Find an external network, or the one that stands for the same physical network or range now.

        Every new database makes its own for the same bridge. One that nobody has any more is made again.
        """
        if (there := await rows.one(self.session, StoredNetwork, id=id)) is not None:
            return there
        noted = self.network(id)
        if noted is None or not noted["external"]:
            return None
        ranges = [each for each in self.noted.subnets if each["network_id"] == id]
        for each in ranges:
            for subnet in await rows.find(self.session, StoredSubnet, cidr=each["cidr"]):
                if like := await rows.one(self.session, StoredNetwork, id=subnet.network_id, external=True):
                    return like
        if noted["physical_network"] and await rows.one(
            self.session, StoredNetwork, physical_network=noted["physical_network"]
        ):
            return None
        if not self.may_make_open or await rows.one(self.session, StoredNetwork, segment=noted["segment"]):
            return None
        await rows.add(self.session, [again(StoredNetwork, noted, project_id=await self.owner(noted["project_id"]))])
        new = [again(StoredSubnet, each, project_id=await self.owner(each["project_id"]), cursor=0) for each in ranges]
        await rows.add(self.session, new)
        return await rows.one(self.session, StoredNetwork, id=id)

    async def _place(self, leg: NotedRow, network: StoredNetwork) -> str | None:
        """Make a port that no guest has, with its MAC and addresses. Returns why that cannot be, in words."""
        if await rows.one(self.session, StoredPort, network_id=network.id, mac=leg["mac"]):
            return f"its MAC address {leg['mac']} belongs to another port now."
        by_cidr = {row.cidr: row.id for row in await rows.find(self.session, StoredSubnet, network_id=network.id)}
        lines: list[StoredAddress] = []
        for line in self.noted.addresses:
            if line["port_id"] != leg["id"]:
                continue
            noted = self.subnet(line["subnet_id"])
            here = by_cidr.get(noted["cidr"]) if noted else None
            if here is None:
                return f"the network has no subnet for its address {ip_of(line['number'])}."
            if await first_taken(self.session, here, [line["number"]]):
                return f"its address {ip_of(line['number'])} belongs to another port now."
            lines.append(StoredAddress(here, line["number"], leg["id"]))
        owner = await self.owner(leg["project_id"])
        if owner and not self.is_sealed:
            owner = self.project_id
        await rows.add(self.session, [again(StoredPort, leg, project_id=owner, network_id=network.id)])
        await rows.add(self.session, lines)
        return None


def _by_id(found: Iterable[NotedRow], id: str) -> NotedRow | None:
    return next((row for row in found if row["id"] == id), None)
