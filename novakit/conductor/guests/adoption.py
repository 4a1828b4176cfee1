"""How a guest becomes a server: row, ports, claim and instance action, from its note, in one transaction.

Nothing is done on the host: what it has is what the note says, so the rows are made to fit the guest.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import sqlalchemy as sa

from novakit import errors, world
from novakit.compute.states import POWER_NUMBERS, at_rest_with
from novakit.conductor.guests.claims import claim_of, stranger_claim
from novakit.conductor.guests.note import Heard, Note, NotedServer, moment
from novakit.conductor.parts import Parts
from novakit.network.allocation.addresses import number_of
from novakit.network.hosts import adoption as ports
from novakit.network.hosts.noted import HeardNetworks
from novakit.network.hosts.regained import Regaining
from novakit.placement.ledger import AllocationClaim
from novakit.store import images, operations
from novakit.store.compute import hosts, server_groups, servers, strangers
from novakit.store.compute.strangers import EVERYWHERE, LOST
from novakit.store.engine import Session
from novakit.store.identity import directory as identity
from novakit.store.network.touched import Touched
from novakit.store.scheduler import numa
from novakit_hookspecs.plain import to_plain
from novakit_hookspecs.servers import Guest

KIND, EVENT = "adopt", "conductor_adopt_guest"


@attrs.frozen(kw_only=True)
class AdoptionRequest:
    """Who wants a guest adopted, and how it is to differ from its note."""

    project_id: str | None = None
    """None is the project of the note."""
    user_id: str | None = None
    """Whose it is where the user of the note is gone, and in whose name the instance action stands."""
    request_id: str = ""
    with_ports: bool = True


async def adopt(
    parts: Parts, host: str, guest: Guest, heard: Heard, around: HeardNetworks, asked: AdoptionRequest
) -> Sequence[str]:
    """Make a guest of a host a server again, or nothing. Returns what could not be brought back with it.

    By a note that is not sealed, for which an operator vouches, it gets nothing that its project could not use.
    Raises Conflict with the reason why it cannot be a server.
    """
    note = heard.note

    async def work(session: Session, touched: Touched) -> Sequence[str]:
        there = await _replaced(session, guest.id)
        row = await _row(session, host, guest, note, asked)
        if not heard.is_sealed:
            await _require_image(session, row)
        regaining = Regaining(
            session=session,
            heard=around,
            was=note.server.project_id,
            project_id=row["project_id"],
            is_sealed=heard.is_sealed,
            may_open=parts.notary.has_lost_its_seal,
        )
        if asked.with_ports:
            await _restore_ports(session, touched, heard, row, regaining)
        else:
            regaining.left.append(
                "Its ports were left out, as you asked, and so were floating IPs and routers for them."
            )
        await _claim(parts, session, row, note)
        if there:
            await servers.change(session, row["id"], fault=None, **row)
        else:
            await servers.add(session, [row])
        await operations.add(session, [_action(host, row["project_id"], note.server, asked)])
        await strangers.drop(session, host, [guest.id])
        return regaining.left

    try:
        return await parts.networks.write(work)
    except sa.exc.IntegrityError as error:
        raise errors.Conflict("Another request took what the guest needs; try again.") from error


async def _replaced(session: Session, id: str) -> bool:
    """Return whether the database has the guest's server, on no host. Raises Conflict where it is in use."""
    rows = await servers.some(session, [id])
    if not rows:
        return False
    row = await servers.lock(session, id)
    if row is None or row["host"] is not None or await operations.unfinished(session, [id]):
        raise errors.Conflict("The database has a server with this id; delete that one first, or remove the guest.")
    return True


async def _row(session: Session, host: str, guest: Guest, note: Note, asked: AdoptionRequest) -> dict[str, Any]:
    known = await hosts.host(session, host)
    if known is None:
        raise errors.Conflict(f"The host {host} has not reported yet; start its agent, and try again.")
    project_id = asked.project_id or note.server.project_id
    if await identity.by_id(session, identity.projects, project_id) is None:
        raise errors.Conflict(f"Its project {project_id} is not in this database; name another one with --project.")
    user = await identity.by_id(session, identity.users, note.server.user_id)
    user_id = note.server.user_id if user is not None or asked.user_id is None else asked.user_id
    server, now = note.server, world.now()
    return {
        **to_plain(server),
        "project_id": project_id,
        "user_id": user_id,
        "scheduler_hints": await _hints(session, server, project_id),
        "created_at": moment(server.created_at),
        "launched_at": moment(server.launched_at) if server.launched_at else now,
        "updated_at": now,
        "vm_state": at_rest_with(guest.power),
        "task_state": None,
        "power_state": POWER_NUMBERS[guest.power],
        "host": host,
        "node": known["facts"].get("hypervisor_hostname") or host,
        "provider_id": known["provider_id"],
    }


async def _require_image(session: Session, row: Mapping[str, Any]) -> None:
    """Refuse a server of an image that its project may not see: its host would be given it. Raises Conflict."""
    id = row["image_id"]
    if not id or await images.visible(session, id, None, everything=True) is None:
        return
    if await images.visible(session, id, row["project_id"], everything=False) is None:
        raise errors.Conflict(
            f"Its note, which is not sealed, names the image {id}, which its project may not see; share the image with"
            " that project, or adopt the guest for another one."
        )


async def _hints(session: Session, server: NotedServer, project_id: str) -> dict[str, object]:
    """Leave out a server group that is gone or another project's, and join one that is there."""
    hints = dict(server.scheduler_hints)
    group = hints.get("group")
    if isinstance(group, str):
        there = await server_groups.server_group(session, group)
        if there is None or there["project_id"] != project_id:
            del hints["group"]
        else:
            await server_groups.join(session, group, [server.id])
    return hints


async def _restore_ports(
    session: Session, touched: Touched, heard: Heard, row: Mapping[str, Any], around: Regaining
) -> None:
    beyond: dict[str, int] = {}
    # A sealed guest goes by sealed notes alone; where the database was lost there are none.
    reach = {EVERYWHERE} if heard.is_sealed else {EVERYWHERE, LOST}
    for other in await strangers.every(session):
        if other["keeps"].get("reach") in reach:
            for subnet, ips in other["keeps"].get("addresses", {}).items():
                beyond[subnet] = max(beyond.get(subnet, 0), *(number_of(ip) for ip in ips))
    await ports.restore(
        session,
        touched,
        heard.note.ports,
        server_id=row["id"],
        project_id=row["project_id"],
        hostname=row["hostname"],
        host=row["host"],
        zone=row["availability_zone"] or "nova",
        beyond=beyond,
        around=around,
    )


async def _claim(parts: Parts, session: Session, row: dict[str, Any], note: Note) -> None:
    """Give the server what its guest takes of the host, in the place of what was reserved for the stranger."""
    provider = row.pop("provider_id")
    wanted = await claim_of(session, note, provider)
    claim = AllocationClaim(
        consumer_id=row["id"], project_id=row["project_id"], user_id=row["user_id"], allocations=wanted
    )
    await parts.placement.replace(session, [stranger_claim(row["id"], row["host"]), claim])
    if note.numa:
        await numa.put(session, [{"server_id": row["id"], "provider_id": provider, "taken": to_plain(note.numa)}])


def _action(host: str, project_id: str, server: NotedServer, asked: AdoptionRequest) -> operations.NewOperation:
    now = world.now()
    at = now.isoformat()
    return {
        "id": world.new_id(),
        "kind": KIND,
        "server_id": server.id,
        "project_id": project_id,
        "user_id": asked.user_id or server.user_id,
        "request_id": asked.request_id,
        "state": "done",
        "events": [{"name": EVENT, "started_at": at, "finished_at": at, "result": "Success", "host": host}],
        "finished_at": now,
    }
