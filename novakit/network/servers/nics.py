"""The NICs of servers: made, adopted, bound to hosts and given back, for many servers in one transaction.

The idea: all that NICs are made by (quotas of projects, groups, subnets with the addresses next to be given) is read in
one statement for all servers of a batch; then ports are drafted in memory and written together. Of those that were just
made nothing is read again.
The invariant: the second time a server is asked for it has the same NICs, so a step of an operation may be repeated.
Nobody else counts the ports of the projects, or takes an address of the subnets, before the transaction ends. What
`MadeNic.info` says is what `nics_of` would read.
The cost: seven statements to ask for and to give a server a NIC, however many come together; nine for one more NIC of a
server that runs; one to read the NICs of any number. On PostgreSQL two locks more.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from operator import itemgetter

import attrs
import orjson

from novakit import errors, world
from novakit.network.allocation.addresses import containing, ip_of, number_of, pairs
from novakit.network.allocation.drafts import PortDraft, choose, new_port, write
from novakit.network.quotas import limit_of
from novakit.network.records import Fixed, NicRequest, PortInfo, Requested, ShownAddress, ShownPort
from novakit.network.servers.requests import PORTS_EXCEEDED
from novakit.store import quota
from novakit.store.engine import Session
from novakit.store.network import floating_ips, new_nics, rows
from novakit.store.network.new_nics import LockedSubnet, NicSurroundings
from novakit.store.network.ports import (
    AddressOfPort,
    PortInGroup,
    PortOfServer,
    StoredPort,
    groups_of,
    has_address,
    join_group,
    server_addresses,
    server_ports,
)
from novakit.store.network.subnets import StoredSubnet
from novakit.store.network.topologies.around import SubnetLine
from novakit.store.network.touched import Touched
from novakit_hookspecs.networks import Subnet

Nics = dict[str, list[PortInfo]]


async def nics_of(session: Session, server_ids: Sequence[str]) -> Nics:
    """Read the NICs of servers, in the order they were asked for: one statement."""
    found: Nics = {server_id: [] for server_id in server_ids}
    if not server_ids:
        return found
    known: dict[str, Subnet] = {}
    fixed: dict[str, list[Fixed]] = {}
    nics: list[PortOfServer] = []
    for row in await server_ports(session, server_ids):
        port_id = row["id"]
        if port_id not in fixed:
            fixed[port_id] = []
            nics.append(row)
        if has_address(row):
            subnet_id = row["subnet_id"]
            if subnet_id not in known:
                known[subnet_id] = _subnet(row)
            floating = row["floating_ip"]
            fixed[port_id].append(
                Fixed(ip=ip_of(row["number"]), subnet=known[subnet_id], floating_ips=(floating,) if floating else ())
            )
    for row in nics:
        port_id, server_id = row["id"], row["server_id"]
        found[server_id].append(
            PortInfo(
                id=port_id,
                server_id=server_id,
                project_id=row["project_id"],
                network_id=row["network_id"],
                network_name=row["network_name"],
                mac=row["mac"],
                mtu=row["mtu"],
                addresses=tuple(fixed[port_id]),
                security_groups=by_name(row["security_groups"]),
                status=row["status"],
                fault=row["fault"],
                host=row["host"],
                tag=row["nic_tag"],
                made=row["made"],
                vif_type=row["vif_type"],
            )
        )
    return found


async def addresses_of(session: Session, server_ids: Sequence[str]) -> dict[str, list[ShownPort]]:
    """Read what clients see of the ports of servers, in the order of `nics_of`: one statement."""
    found: dict[str, list[ShownPort]] = {}
    last = ""
    addresses: list[ShownAddress] = []
    for port_id, server_id, mac, network_name, number, floating, groups in await server_addresses(session, server_ids):
        if port_id != last:
            last, addresses = port_id, []
            port = ShownPort(network_name, mac, addresses, [name or group_id for group_id, name in by_name(groups)])
            found.setdefault(server_id, []).append(port)
        if number is not None:
            addresses.append(ShownAddress(ip_of(number), (floating,) if floating else ()))
    return found


def by_name(groups: Sequence[Sequence[str]] | None) -> tuple[tuple[str, str], ...]:
    """Return the security groups of a port in the order that clients see."""
    return tuple(sorted(((group_id, name) for group_id, name in groups or ()), key=itemgetter(1, 0)))


def _subnet(row: AddressOfPort) -> Subnet:
    return Subnet(
        id=row["subnet_id"],
        cidr=row["cidr"],
        gateway_ip=row["gateway_ip"],
        dhcp=row["dhcp"],
        dns_servers=tuple(orjson.loads(row["dns_servers"])),
        host_routes=pairs(orjson.loads(row["host_routes"])),
    )


def subnet_of(row: StoredSubnet | SubnetLine) -> Subnet:
    """Make the contract's record of a subnet."""
    return Subnet(
        id=row.id,
        cidr=row.cidr,
        gateway_ip=row.gateway_ip,
        dhcp=row.dhcp,
        dns_servers=tuple(row.dns_servers),
        host_routes=pairs(row.host_routes),
    )


async def allocate(session: Session, touched: Touched, asks: Sequence[NicRequest]) -> Nics:
    """Make and adopt the NICs of servers, and bind them to hosts; a server that has some already keeps them."""
    around = await around_of(session, asks)
    fresh = [ask for ask in asks if ask.requested and ask.server_id not in around.settled]
    check(around, fresh)
    drafts = (
        await make(
            session, touched, around, [(ask, place, nic) for ask in fresh for place, nic in enumerate(ask.requested)]
        )
        if fresh
        else []
    )
    # Those that were just made are bound already; those that were there before may not be.
    adopting = {ask.server_id for ask in fresh if any(nic.port_id for nic in ask.requested)}
    known = {ask.server_id for ask in fresh} - adopting
    others = [ask for ask in asks if ask.server_id not in known]
    if places := {ask.server_id: (ask.host, ask.zone) for ask in others if ask.host}:
        await _bind(session, touched, places)
    found = await nics_of(session, [ask.server_id for ask in others])
    # A record for all of those that have an address on a subnet: most of what is made together is on one.
    on = {each.subnet.id: each.subnet for draft in drafts for each in draft.subnets}
    subnets = {key: subnet_of(subnet) for key, subnet in on.items()}
    for draft in drafts:
        if draft.server_id in known:
            found.setdefault(draft.server_id, []).append(draft.info(around, subnets))
    return found


async def around_of(session: Session, asks: Sequence[NicRequest]) -> NicSurroundings:
    """Read what the NICs of servers are made by; nobody else counts the ports of their projects until the end."""
    new = [(ask, nic) for ask in asks for nic in ask.requested if nic.port_id is None]
    projects = {ask.project_id for ask, _ in new}
    await quota.hold(session, "port", projects)
    return await new_nics.surroundings(
        session,
        servers=[ask.server_id for ask in asks],
        projects=projects,
        groups={group for _, nic in new for group in nic.groups},
        hosts={ask.host for ask in asks if ask.host},
        networks={nic.network_id for _, nic in new},
    )


def check(around: NicSurroundings, asks: Sequence[NicRequest]) -> None:
    """Make sure that the projects may have the new ports, and that their groups are there still.

    Raises Forbidden, and BadRequest for a group that was deleted since it was asked for.
    """
    new: dict[str, int] = defaultdict(int)
    for ask in asks:
        made = [nic for nic in ask.requested if nic.port_id is None]
        new[ask.project_id] += len(made)
        if gone := [group for nic in made for group in nic.groups if group not in around.groups]:
            raise errors.BadRequest(f"Security group {gone[0]} not found.", kind="SecurityGroupNotFound")
    for project_id, count in new.items():
        limit = limit_of("port", around.limits.get(project_id))
        if count and quota.exceeds(limit, around.ports.get(project_id, 0), count):
            raise errors.Forbidden(PORTS_EXCEEDED, kind="PortLimitExceeded")


@attrs.frozen(kw_only=True)
class MadeNic:
    """A port that was just made for a server, with what it was made by."""

    draft: PortDraft
    subnets: Sequence[LockedSubnet]
    """Those of its network."""

    @property
    def server_id(self) -> str:
        """Return whose it is."""
        return self.draft.row.server_id or ""

    def info(self, around: NicSurroundings, subnets: Mapping[str, Subnet]) -> PortInfo:
        """Return what `nics_of` would read of it, which costs as much as half of making it."""
        row, network = self.draft.row, self.subnets[0]
        numbers = sorted(self.draft.numbers, key=itemgetter(1))
        groups = dict.fromkeys(self.draft.groups)
        return PortInfo(
            id=row.id,
            server_id=self.server_id,
            project_id=row.project_id,
            network_id=row.network_id,
            network_name=network.network_name,
            mac=row.mac,
            mtu=network.mtu,
            addresses=tuple(Fixed(ip=ip_of(number), subnet=subnets[key]) for key, number in numbers),
            security_groups=by_name([(group, around.groups[group]) for group in groups]),
            status=row.status,
            fault=row.fault,
            host=row.host,
            tag=row.nic_tag,
            made=row.made,
            vif_type=around.vif_types.get(row.host or ""),
        )


async def make(
    session: Session,
    touched: Touched,
    around: NicSurroundings,
    nics: Sequence[tuple[NicRequest, int, Requested]],
    *,
    port_id: str | None = None,
) -> list[MadeNic]:
    """Make new ports, one statement for all of them, and adopt the given ones. Returns those that were made."""
    fresh = [(ask, place, nic) for ask, place, nic in nics if nic.port_id is None]
    found = around.subnets
    if found is None:
        found = await new_nics.lock_subnets(session, {nic.network_id for _, _, nic in fresh}) if fresh else ()
    locked: dict[str, list[LockedSubnet]] = defaultdict(list)
    for each in found:
        locked[each.subnet.network_id].append(each)
    drafts = [_draft(ask, place, nic, locked[nic.network_id], port_id) for ask, place, nic in fresh]
    subnets = {network_id: [each.subnet for each in some] for network_id, some in locked.items()}
    near = {each.subnet.id: each.near for some in locked.values() for each in some}
    await choose(session, drafts, subnets, near)
    await write(session, drafts)
    touched.gateway = True
    for draft in drafts:
        touched.members.update(draft.groups)
    touched.hosts |= {ask.host for ask, _, _ in fresh if ask.host}
    for ask, place, nic in nics:
        if nic.port_id is not None:
            await _adopt(session, touched, ask, place, nic)
    return [MadeNic(draft=draft, subnets=locked[draft.row.network_id]) for draft in drafts]


def _draft(
    ask: NicRequest,
    place: int,
    nic: Requested,
    locked: Sequence[LockedSubnet],
    port_id: str | None,
) -> PortDraft:
    if not locked:
        raise errors.BadRequest(
            f"Network {nic.network_id} requires at least one subnet in order to boot instances on.",
            kind="NetworkRequiresSubnet",
        )
    wants: list[tuple[str, int | None]] | None = None
    if nic.fixed_ip is not None:
        number = number_of(nic.fixed_ip)
        subnet = containing([each.subnet for each in locked], number)
        if subnet is None:
            raise errors.BadRequest(f"Fixed IP {nic.fixed_ip} is not on network {nic.network_id}.")
        wants = [(subnet.id, number)]
    row = new_port(
        nic.network_id,
        id=port_id,
        project_id=ask.project_id,
        device_id=ask.server_id,
        device_owner=_owner(ask.zone),
        server_id=ask.server_id,
        host=ask.host,
        status="BUILD" if ask.host else "DOWN",
        made=True,
        position=place,
        nic_tag=nic.tag,
        hostname=ask.hostname,
        port_security=locked[0].port_security,
    )
    return PortDraft(row=row, wants=wants, groups=nic.groups if row.port_security else ())


async def _adopt(session: Session, touched: Touched, ask: NicRequest, place: int, nic: Requested) -> None:
    port = next(iter(await rows.lock(session, StoredPort, id=nic.port_id)), None)
    if port is None:
        raise errors.BadRequest(f"Port id {nic.port_id} could not be found.", kind="PortNotFound")
    if port.server_id == ask.server_id:
        return
    if port.server_id or port.device_id:
        raise errors.Conflict(f"Port {nic.port_id} is still in use.", kind="PortInUse")
    values = {"device_id": ask.server_id, "device_owner": "compute:nova", "server_id": ask.server_id, "made": False}
    await rows.change(
        session,
        StoredPort,
        port.id,
        **values,
        position=place,
        nic_tag=nic.tag,
        hostname=port.hostname or ask.hostname,
    )
    touched.gateway = True
    # Its owner may have bound it before it was a server's, of whose ports alone hosts are told.
    touched.hosts |= {port.host} if port.host else set()


async def bind(session: Session, touched: Touched, places: Mapping[str, tuple[str, str]]) -> Nics:
    """Say on which host and in which zone servers run, so that their ports are wired there."""
    await _bind(session, touched, places)
    return await nics_of(session, list(places))


async def _bind(session: Session, touched: Touched, places: Mapping[str, tuple[str, str]]) -> None:
    changes: list[dict[str, object]] = []
    for port in await rows.find(session, StoredPort, server_id=list(places)):
        host, zone = places[port.server_id or ""]
        owner = _owner(zone)
        if (port.host, port.device_owner) != (host, owner):
            touched.hosts |= {host, port.host or host}
            changes.append(
                {
                    "id": port.id,
                    "host": host,
                    "device_owner": owner,
                    "status": port.status if port.host == host else "BUILD",
                    "fault": None,
                    "updated_at": world.now(),
                }
            )
    await rows.change_many(session, StoredPort, changes)


def _owner(zone: str) -> str:
    """Say what owns the ports of a server in an availability zone."""
    return f"compute:{zone or 'nova'}"


async def unbind(session: Session, touched: Touched, server_ids: Sequence[str]) -> None:
    """Take the ports of servers off their hosts; they keep their addresses."""
    changes: list[dict[str, object]] = []
    for port in await rows.find(session, StoredPort, server_id=list(server_ids)):
        if port.host:
            touched.hosts.add(port.host)
            changes.append({"id": port.id, "host": None, "status": "DOWN", "fault": None})
    await rows.change_many(session, StoredPort, changes)


async def release(session: Session, touched: Touched, server_ids: Sequence[str], *, port_id: str | None = None) -> None:
    """Delete the ports that were made for servers and give adopted ones back to their owners."""
    wanted: dict[str, object] = {"server_id": list(server_ids)}
    if port_id:
        wanted["id"] = port_id
    found = await rows.find(session, StoredPort, **wanted)
    if not found:
        return
    touched.gateway = True
    touched.hosts |= {port.host for port in found if port.host}
    made = [port.id for port in found if port.made]
    if made:
        touched.members |= {row.group_id for row in await groups_of(session, made)}
        await floating_ips.free(session, made)
        await rows.remove(session, StoredPort, id=made)
    nobody = {"device_id": "", "device_owner": "", "server_id": None, "host": None, "status": "DOWN", "nic_tag": None}
    await rows.change_many(session, StoredPort, [{"id": port.id, **nobody} for port in found if not port.made])


async def add_group(session: Session, touched: Touched, server_id: str, group_id: str) -> None:
    """Put every port of a server that is filtered into a security group."""
    found = [port for port in await rows.find(session, StoredPort, server_id=server_id) if port.port_security]
    await join_group(session, rows.ids(found), group_id)
    _touch_ports(touched, found, group_id)


async def remove_group(session: Session, touched: Touched, server_id: str, group_id: str) -> None:
    """Take the ports of a server out of a security group; raise `NotFound` when none is in it."""
    found = await rows.find(session, StoredPort, server_id=server_id)
    removed = await rows.remove(session, PortInGroup, group_id=group_id, port_id=rows.ids(found))
    if not removed:
        raise errors.NotFound(
            f"Security group {group_id} not associated with the instance {server_id}", kind="SecurityGroupNotAssociated"
        )
    _touch_ports(touched, found, group_id)


def _touch_ports(touched: Touched, found: Sequence[StoredPort], group_id: str) -> None:
    touched.hosts |= {port.host for port in found if port.host}
    touched.members.add(group_id)


def distinct(asks: Sequence[NicRequest]) -> list[NicRequest]:
    """Drop repeated asks of the same server."""
    return list({ask.server_id: ask for ask in asks}.values())
