"""Resolving what a request for a server says of its network, before anything is made."""

from collections.abc import Mapping, Sequence

import attrs
import orjson

from novakit import errors
from novakit.context import RequestContext
from novakit.network.allocation.addresses import containing, ip_of, number_of
from novakit.network.quotas import limit_of
from novakit.network.records import Requested
from novakit.network.security_group_rules import default_group_id, ensure_default
from novakit.store import quota
from novakit.store.engine import Session, Store
from novakit.store.network import new_nics, rows
from novakit.store.network.networks import StoredNetwork
from novakit.store.network.new_nics import Usable
from novakit.store.network.ports import StoredAddress, StoredPort
from novakit.store.network.security_groups import StoredSecurityGroup
from novakit.store.network.subnets import StoredSubnet

NetworksAsked = str | Sequence[Mapping[str, str | None]] | None
ATTACH_EXTERNAL = "network:attach_external_network"
"""The rule, of the compute service, for networks that are external and not shared."""
PORTS_EXCEEDED = "Maximum number of ports exceeded"


@attrs.frozen(kw_only=True)
class Caller:
    """What an answer depends on of who asks."""

    project_id: str
    is_admin: bool
    may_attach_external: bool
    """Whether servers may be on networks that are external and not shared."""


@attrs.frozen(kw_only=True)
class Question:
    """What is asked of the network by one request for servers; equal questions have equal answers."""

    context: RequestContext = attrs.field(eq=False)
    caller: Caller
    asked: bytes
    names: tuple[str, ...]
    servers: int

    @classmethod
    def of(cls, context: RequestContext, requested: NetworksAsked, names: Sequence[str], servers: int) -> "Question":
        """Make the question of one request."""
        about = {"project_id": context.project_id, "user_id": context.user_id}
        caller = Caller(
            project_id=context.project_id or "",
            is_admin=context.is_admin,
            may_attach_external=context.may(ATTACH_EXTERNAL, about),
        )
        asked = requested if requested is None or isinstance(requested, str) else list(requested)
        return cls(context=context, caller=caller, asked=orjson.dumps(asked), names=tuple(names), servers=servers)


async def resolve(store: Store, question: Question) -> list[Requested]:
    """Return which NICs each new server would have; see `Networks.check_request`."""
    context, names, servers = question.context, question.names, question.servers
    requested: NetworksAsked = orjson.loads(question.asked)
    project = context.project_id or ""
    among = None
    if isinstance(requested, list):
        among = [_network_id(one) for one in requested if not one.get("port")]
    elif requested == "none":
        among = []
    async with store.read() as session:
        usable = await new_nics.usable(
            session,
            context.project_id,
            groups=names or ["default"],
            only=among,
            everything=context.is_admin and among is not None,
        )
        groups = named_groups(usable.groups, project, names)
        if requested == "none":
            return []
        if requested is None or isinstance(requested, str):
            nics = _automatic(usable, question, must=requested == "auto")
        else:
            nics = [await _named(session, question, usable, one) for one in requested]
            _refuse_duplicates(nics)
    new = servers * sum(nic.port_id is None for nic in nics)
    if new and quota.exceeds(limit_of("port", usable.limit), usable.ports, new):
        raise errors.Forbidden(PORTS_EXCEEDED, kind="PortLimitExceeded")
    if groups is None and any(nic.port_id is None for nic in nics):
        async with store.write() as session:
            await ensure_default(session, project)
            groups = await resolve_groups(session, project, names)
    return [
        nic
        if nic.port_id
        else Requested(network_id=nic.network_id, fixed_ip=nic.fixed_ip, tag=nic.tag, groups=groups or ())
        for nic in nics
    ]


async def resolve_groups(session: Session, project_id: str, names: Sequence[str]) -> list[str] | None:
    """Turn names and ids of security groups into ids; None when the default group is meant and not made yet.

    Raises BadRequest for one that does not exist, Conflict for a name that several have.
    """
    own = await rows.find(session, StoredSecurityGroup, project_id=project_id)
    return named_groups([(group.id, group.name) for group in own], project_id, names)


def named_groups(own: Sequence[tuple[str, str]], project_id: str, names: Sequence[str]) -> list[str] | None:
    """Do as `resolve_groups` does, with the ids and names of the project's groups."""
    found = []
    for name in dict.fromkeys(names or ["default"]):
        matches = [key for key, _ in own if key == name.lower()] or [key for key, called in own if called == name]
        if len(matches) > 1:
            raise errors.Conflict(
                f"Multiple security groups found matching '{name}'. Use an ID to be more specific.",
                kind="NoUniqueMatch",
            )
        if not matches and (name == "default" or name.lower() == default_group_id(project_id)):
            return None
        if not matches:
            raise errors.BadRequest(f"Security group {name} not found.", kind="SecurityGroupNotFound")
        found.append(matches[0])
    return found


def _automatic(found: Usable, question: Question, *, must: bool) -> list[Requested]:
    project_id = question.caller.project_id
    usable = [(row, count) for row, count in found.networks if not row.external or row.project_id == project_id]
    if not usable:
        if must:
            raise errors.BadRequest(
                f"Unable to automatically allocate a network for project {project_id}. Create a network with a subnet "
                "first, or ask for 'none'.",
                kind="UnableToAutoAllocateNetwork",
            )
        return []
    if len(usable) > 1:
        raise errors.Conflict(
            "Multiple possible networks found, use a Network ID to be more specific.", kind="NetworkAmbiguous"
        )
    _need_attachable(usable[0][0], question)
    _need_subnet(*usable[0])
    return [Requested(network_id=usable[0][0].id)]


def _need_attachable(network: StoredNetwork, question: Question) -> None:
    if network.external and not network.shared and not question.caller.may_attach_external:
        raise errors.Forbidden(
            f"It is not allowed to create an interface on external network {network.id}",
            kind="ExternalNetworkAttachForbidden",
        )


def _need_subnet(network: StoredNetwork, subnet_count: int) -> None:
    if not subnet_count:
        raise errors.BadRequest(
            f"Network {network.id} requires at least one subnet in order to boot instances on.",
            kind="NetworkRequiresSubnet",
        )


def _network_id(one: Mapping[str, str | None]) -> str:
    return str(one.get("uuid") or "").lower()


async def _named(session: Session, question: Question, usable: Usable, one: Mapping[str, str | None]) -> Requested:
    tag, servers = one.get("tag"), question.servers
    if port_id := one.get("port"):
        if servers > 1:
            raise errors.BadRequest(
                "Failed to launch multiple instances with one port ID; name the network instead.",
                kind="MultiplePortsNotApplicable",
            )
        return await _port(session, question, str(port_id).lower(), tag)
    network_id, fixed_ip = _network_id(one), one.get("fixed_ip") or None
    found = next((known for known in usable.networks if known[0].id == network_id), None)
    if found is None:
        raise errors.BadRequest(f"Network {network_id} could not be found.", kind="NetworkNotFound")
    network, subnet_count = found
    _need_attachable(network, question)
    _need_subnet(network, subnet_count)
    if fixed_ip is not None:
        if servers > 1:
            raise errors.BadRequest(
                "Invalid fixed IP Address: one address cannot be given to several servers.", kind="InvalidFixedIp"
            )
        await _check_fixed(session, network_id, str(fixed_ip))
    return Requested(network_id=network_id, fixed_ip=fixed_ip, tag=tag)


async def _check_fixed(session: Session, network_id: str, ip: str) -> None:
    number = number_of(ip)
    subnet = containing(await rows.find(session, StoredSubnet, network_id=network_id), number)
    if subnet is None:
        raise errors.BadRequest(
            f"Fixed IP {ip} is not a valid ip address for network {network_id}.", kind="FixedIpNotFoundForNetwork"
        )
    if await rows.one(session, StoredAddress, subnet_id=subnet.id, number=number):
        raise errors.BadRequest(f"Fixed IP address {ip_of(number)} is already in use.", kind="FixedIpAlreadyInUse")


async def _port(session: Session, question: Question, port_id: str, tag: str | None) -> Requested:
    context = question.context
    port = await rows.one(session, StoredPort, id=port_id)
    if port is None or not (context.is_admin or port.project_id == context.project_id):
        raise errors.BadRequest(f"Port id {port_id} could not be found.", kind="PortNotFound")
    if port.server_id or port.device_id:
        raise errors.Conflict(f"Port {port_id} is still in use.", kind="PortInUse")
    if not await rows.one(session, StoredAddress, port_id=port_id):
        raise errors.BadRequest(f"Port {port_id} requires a FixedIP in order to be used.", kind="PortRequiresFixedIP")
    if not question.caller.may_attach_external:
        (network,) = await rows.find(session, StoredNetwork, id=port.network_id)
        _need_attachable(network, question)
    return Requested(network_id=port.network_id, port_id=port_id, tag=tag)


def _refuse_duplicates(nics: Sequence[Requested]) -> None:
    for values in ([c.port_id for c in nics if c.port_id], [c.fixed_ip for c in nics if c.fixed_ip]):
        if len(set(values)) < len(values):
            raise errors.BadRequest(
                f"The same port or address is asked for twice: {', '.join(values)}.", kind="InvalidInput"
            )
