"""`Networks`: what the rest of novakit asks of the network service.

The idea: what many servers ask at once shares a transaction (`Gather`): the fixed cost of one is paid once for a
hundred. Each method opens its transaction and leaves what is right to the module of its noun.
The invariant: what steps of operations call may be called again: NICs that are there are kept, and what is unknown is
given back as well. Of calls that share a transaction each has its own result or its own error. The record of what a
host applied may be lost, since that host counts as behind then and is told again.
The cost: one transaction for up to 100 calls of a kind that wait at the same moment; two statements for topologies, and
400 bytes for each port that hosts were told of, of at most `MOST`.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import partial

import attrs

from novakit import errors
from novakit.concurrency.bounded import BoundedMemory
from novakit.concurrency.gather import Gather
from novakit.context import RequestContext
from novakit.network import bootstrap as first_start
from novakit.network.allocation.addresses import number_of
from novakit.network.floating_ips import FLOATING_IPS, FloatingIps
from novakit.network.hosts import applied as applications
from novakit.network.hosts import dhcp, topology
from novakit.network.hosts.noted import NotedNetworks
from novakit.network.hosts.noting import Noting
from novakit.network.hosts.remembered import MOST, Told
from novakit.network.hosts.topology import Built
from novakit.network.networks import NETWORKS, NetworkDetails, NetworksOfAll
from novakit.network.ports import PORTS, Ports
from novakit.network.quotas import NetworkQuotas
from novakit.network.records import NicRequest, PortInfo, Requested, ShownPort
from novakit.network.resources import Resources, Transactions
from novakit.network.routers import ROUTERS, Routers
from novakit.network.security_group_rules import RULES, SecurityGroupRules, ensure_default
from novakit.network.security_groups import SECURITY_GROUPS, SecurityGroupDetails, SecurityGroups
from novakit.network.security_groups import details as group_details
from novakit.network.servers import nics as servers
from novakit.network.servers import requests
from novakit.network.subnets import SUBNETS, Subnets
from novakit.store.engine import Session
from novakit.store.network import hosts as network_hosts
from novakit.store.network import rows
from novakit.store.network.ports import StoredPort, owners, server_at, server_groups
from novakit.store.network.security_groups import StoredSecurityGroup
from novakit.store.network.surroundings import Mark
from novakit.store.network.touched import Touched
from novakit_hookspecs.networks import Applied, Topology, VifBinding


@attrs.define
class Networks(Transactions):
    """The network service as the compute service, the conductor and the metadata service see it."""

    networks: NetworksOfAll = attrs.field(init=False)
    subnets: Subnets = attrs.field(init=False)
    ports: Ports = attrs.field(init=False)
    routers: Routers = attrs.field(init=False)
    floating_ips: FloatingIps = attrs.field(init=False)
    security_groups: SecurityGroups = attrs.field(init=False)
    security_group_rules: SecurityGroupRules = attrs.field(init=False)
    quotas: NetworkQuotas = attrs.field(init=False)
    _checking: Gather[requests.Question, list[Requested]] = attrs.field(init=False)
    _allocating: Gather[NicRequest, list[PortInfo]] = attrs.field(init=False)
    _binding: Gather[tuple[str, str, str], list[PortInfo]] = attrs.field(init=False)
    _releasing: Gather[str, None] = attrs.field(init=False)
    _recording: Gather[tuple[Mapping[str, Applied], bool], None] = attrs.field(init=False)
    """What hosts made of their topologies, and whether it is recorded late."""
    _told: BoundedMemory[Told] = attrs.field(init=False, factory=lambda: BoundedMemory(MOST))
    """What hosts were told of their networks."""
    _noting: Noting = attrs.field(init=False, factory=Noting)

    def __attrs_post_init__(self) -> None:
        self.networks = Resources(NETWORKS, self)
        self.subnets = Resources(SUBNETS, self)
        self.ports = Resources(PORTS, self)
        self.routers = Routers(ROUTERS, self)
        self.floating_ips = Resources(FLOATING_IPS, self)
        self.security_groups = Resources(SECURITY_GROUPS, self)
        self.security_group_rules = Resources(RULES, self)
        self.quotas = NetworkQuotas(self)
        self._checking = Gather(self._check_many, most=100)
        self._allocating = Gather(self.allocate_many, most=100)
        self._binding = Gather(self._bind_many, most=100)
        self._releasing = Gather(self._release_many, most=100)
        self._recording = Gather(self._record_many, most=100)

    async def check_request(
        self,
        context: RequestContext,
        requested: requests.NetworksAsked,
        security_groups: Sequence[str] = (),
        *,
        servers: int = 1,
    ) -> list[Requested]:
        """Return which NICs each of `servers` new servers would have, in the errors of the compute API.

        `requested` is None, "auto", "none" or a list of `{uuid, fixed_ip, port, tag}`; `security_groups` are names or
        ids. Raises BadRequest, Forbidden (quota, external network) and Conflict (ambiguous, port in use).
        """
        return await self._checking(requests.Question.of(context, requested, security_groups, servers))

    async def _check_many(self, questions: Sequence[requests.Question]) -> list[list[Requested]]:
        """Answer questions that came together; the same one is answered once."""
        found = {question: await requests.resolve(self.store, question) for question in dict.fromkeys(questions)}
        return [found[question] for question in questions]

    async def security_groups_of(self, server_id: str) -> tuple[list[SecurityGroupDetails], dict[str, tuple[str, str]]]:
        """Return the security groups of a server's ports with their rules.

        Beside them are name and project, by id, of the groups that their rules trust.
        """
        async with self.store.read() as session:
            keys = dict.fromkeys(group_id for _, group_id, _ in await server_groups(session, [server_id]))
            by_id = {row.id: row for row in await rows.find(session, StoredSecurityGroup, id=list(keys))}
            found = await group_details(session, [by_id[key] for key in keys])
            trusted = {rule.remote_group_id for one in found for rule in one.rules} - {None}
            named = await rows.find(session, StoredSecurityGroup, id=trusted)
        return found, {row.id: (row.name, row.project_id) for row in named}

    async def noted(self, hosts: Collection[str], marked: Mark | None = None) -> dict[str, NotedNetworks]:
        """Read what each host is to note of the networks around its guests, as they were at a mark or are now."""
        async with self.store.read() as session:
            return await self._noting.read(session, hosts, marked)

    async def allocate(
        self,
        *,
        server_id: str,
        project_id: str,
        hostname: str,
        requested: Sequence[Requested],
        host: str | None = None,
        zone: str = "nova",
    ) -> list[PortInfo]:
        """Make and adopt the NICs of a server, and say where it runs; the second time they are the same ones.

        Calls that come together share a transaction.
        """
        if not requested:
            return []
        ask = NicRequest(
            server_id=server_id, project_id=project_id, hostname=hostname, requested=requested, host=host, zone=zone
        )
        return await self._allocating(ask)

    async def allocate_many(self, asks: Sequence[NicRequest]) -> list[list[PortInfo]]:
        """Make and adopt the NICs of many servers in one transaction, all or nothing."""
        fresh = servers.distinct(asks)
        found = await self.write(lambda session, touched: servers.allocate(session, touched, fresh))
        return [found[ask.server_id] for ask in asks]

    async def attach(
        self,
        *,
        port_id: str,
        server_id: str,
        project_id: str,
        hostname: str,
        requested: Requested,
        host: str | None = None,
        zone: str = "nova",
    ) -> PortInfo:
        """Give a server one more NIC; `port_id` names the new port, so that the second time it is the same one.

        For an adopted port, `port_id` is that port's.
        """

        async def work(session: Session, touched: Touched) -> PortInfo:
            have = (await servers.nics_of(session, [server_id]))[server_id]
            if not any(nic.id == port_id for nic in have):
                ask = NicRequest(
                    server_id=server_id,
                    project_id=project_id,
                    hostname=hostname,
                    requested=[requested],
                    host=host,
                    zone=zone,
                )
                around = await servers.around_of(session, [ask])
                servers.check(around, [ask])
                await servers.make(session, touched, around, [(ask, len(have), requested)], port_id=port_id)
            # Also those that it had before may be bound to another host.
            if host:
                have = (await servers.bind(session, touched, {server_id: (host, zone)}))[server_id]
            else:
                have = (await servers.nics_of(session, [server_id]))[server_id]
            return next(nic for nic in have if nic.id == port_id)

        return await self.write(work)

    async def detach(self, server_id: str, port_id: str) -> None:
        """Take one NIC from a server: deleted when it was made for it, else given back; the unknown is fine."""
        await self.write(lambda session, touched: servers.release(session, touched, [server_id], port_id=port_id))

    async def bind(self, server_id: str, host: str, zone: str = "nova") -> list[PortInfo]:
        """Return where a server runs, so that its ports are wired there and nowhere else."""
        return await self._binding((server_id, host, zone))

    async def _bind_many(self, places: Sequence[tuple[str, str, str]]) -> list[list[PortInfo]]:
        wanted = {server_id: (host, zone) for server_id, host, zone in places}
        found = await self.write(lambda session, touched: servers.bind(session, touched, wanted))
        return [found[server_id] for server_id, _, _ in places]

    async def unbind(self, server_id: str) -> None:
        """Take a server's ports off their host; they keep their addresses."""
        await self.write(lambda session, touched: servers.unbind(session, touched, [server_id]))

    async def release(self, server_id: str) -> None:
        """Delete the ports made for a server and give adopted ones back; the unknown is fine."""
        await self._releasing(server_id)

    async def _release_many(self, server_ids: Sequence[str]) -> list[None]:
        await self.write(lambda session, touched: servers.release(session, touched, server_ids))
        return [None] * len(server_ids)

    async def ports_of(self, server_ids: Sequence[str]) -> dict[str, list[PortInfo]]:
        """Read the NICs of many servers in two statements; a server without any has an empty list."""
        async with self.store.read() as session:
            return await servers.nics_of(session, server_ids)

    async def addresses_of(self, server_ids: Sequence[str]) -> dict[str, list[ShownPort]]:
        """Read the addresses and groups of many servers in two statements; a server without a port is left out."""
        async with self.store.read() as session:
            return await servers.addresses_of(session, server_ids)

    async def add_security_group(self, context: RequestContext, server_id: str, name_or_id: str) -> None:
        """Put a server's ports into a security group of the caller's project; raise `NotFound` for an unknown one."""
        group = await self._group(context, name_or_id)
        await self.write(lambda session, touched: servers.add_group(session, touched, server_id, group))

    async def remove_security_group(self, context: RequestContext, server_id: str, name_or_id: str) -> None:
        """Take a server's ports out of a security group; raise `NotFound` when it is unknown or not theirs."""
        group = await self._group(context, name_or_id)
        await self.write(lambda session, touched: servers.remove_group(session, touched, server_id, group))

    async def _group(self, context: RequestContext, name_or_id: str) -> str:
        project = context.project_id or ""
        if name_or_id == "default":
            return await self.write(lambda session, _: ensure_default(session, project))
        async with self.store.read() as session:
            try:
                found = await requests.resolve_groups(session, project, [name_or_id])
            except errors.BadRequest as error:
                raise errors.NotFound(error.message, kind=error.kind) from error
        return found[0] if found else await self.write(lambda session, _: ensure_default(session, project))

    async def metadata_port(self, network_id: str, ip: str) -> PortInfo | None:
        """Return whose NIC is behind a connection that comes from an address on a network."""
        try:
            number = number_of(ip)
        except errors.BadRequest:
            return None
        async with self.store.read() as session:
            server_id = await server_at(session, network_id, number)
            nics = (await servers.nics_of(session, [server_id]))[server_id] if server_id else []
        return next(
            (nic for nic in nics if nic.network_id == network_id and ip in (fixed.ip for fixed in nic.addresses)),
            None,
        )

    async def host_up(self, host: str, binding: VifBinding | None = None) -> None:
        """Make a host known, and what its network driver lets be told of ports on it.

        The first of all hosts runs routers and DHCP until `set_gateway` says otherwise.
        """
        async with self.store.read() as session:
            known = await network_hosts.host(session, host)
        told = binding is None or (
            known is not None and (known.vif_type, known.port_filter) == (binding.vif_type, binding.port_filter)
        )
        if known and told:
            return

        async def work(session: Session, touched: Touched) -> None:
            if known is None:
                await network_hosts.appear(session, [host])
                touched.hosts.add(host)
            if binding is not None:
                await network_hosts.set_binding(session, host, binding.vif_type, binding.port_filter)

        await self.write(work)

    async def set_gateway(self, host: str) -> None:
        """Let a host run routers and DHCP, and no other."""
        await self.host_up(host)

        async def work(session: Session, _: Touched) -> None:
            if changed := await network_hosts.choose_gateway(session, host):
                session.after_commit(partial(self._tell, changed))

        await self.write(work)

    async def hosts_behind(self) -> list[str]:
        """List the hosts that have not applied what they should."""
        async with self.store.read() as session:
            return await network_hosts.behind(session)

    async def build(self, hosts: Collection[str]) -> Built:
        """Read the whole desired state of hosts, and whether there are strangers; DHCP ports that lack are made first.

        A host that is not known has nothing.
        """
        async with self.store.read() as session:
            built = await topology.build(session, hosts, self._told)
        if built.lacking:
            await self.write(lambda session, _: self._make_dhcp(session))
            async with self.store.read() as session:
                built = await topology.build(session, hosts, self._told)
        return attrs.evolve(
            built, topologies={host: built.topologies.get(host) or Topology(revision=0) for host in hosts}
        )

    async def _make_dhcp(self, session: Session) -> None:
        await dhcp.make(session, await dhcp.missing(session))

    async def record_applied(self, host: str, applied: Applied) -> None:
        """Record what became of a topology: the states of ports, routers and floating IPs, and the host's revision.

        Calls that come together share a transaction.
        """
        await self._recording(({host: applied}, False))

    async def record_late(self, made: Mapping[str, Applied]) -> None:
        """Do as `record_applied` does for several hosts, all or nothing, a while after they made it.

        Of one that is to have a later state by now it is the revision alone.
        """
        await self._recording((made, True))

    async def _record_many(self, made: Sequence[tuple[Mapping[str, Applied], bool]]) -> list[None]:
        latest = {host: applied for some, _ in made for host, applied in some.items()}
        late = latest.keys() - {host for some, is_late in made if not is_late for host in some}
        # A host whose record is lost is behind, and is handed its topology again.
        await self.write(lambda session, _: applications.record(session, latest, late), flushed=False)
        return [None] * len(made)

    async def overtake(self, host: str, revision: int) -> None:
        """Raise the wanted revision of a host above one that it has applied already, of a former database."""

        async def work(session: Session, _: Touched) -> None:
            await network_hosts.overtake(session, host, revision)

        await self.write(work)

    async def forget_host(self, host: str) -> None:
        """Drop a host that will not come back; another one takes over routers and DHCP, ports bound to it come off."""

        async def work(session: Session, _: Touched) -> None:
            bound = await rows.find(session, StoredPort, host=host)
            off = [{"id": port.id, "host": None, "status": "DOWN"} for port in bound]
            await rows.change_many(session, StoredPort, off)
            await network_hosts.forget(session, [host])
            if changed := await network_hosts.choose_gateway(session, None):
                session.after_commit(partial(self._tell, changed))

        await self.write(work)
        self._told.pop(host)
        self._noting.forget(host)

    async def owners(self) -> dict[str, str]:
        """Tell of every port that a server has which server that is, for the audit."""
        async with self.store.read() as session:
            return await owners(session)

    async def bootstrap(
        self, *, admin_project_id: str, external_cidr: str, gateway: str | None, physical_network: str = "public"
    ) -> NetworkDetails:
        """Make the external network `public` with its subnet unless it is there."""
        return await self.write(
            lambda session, touched: first_start.external_network(
                session,
                touched,
                project_id=admin_project_id,
                cidr=external_cidr,
                gateway=gateway,
                physical_network=physical_network,
            )
        )
