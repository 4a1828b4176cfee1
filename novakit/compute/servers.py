"""Servers as users ask for them: every change is one transaction that also writes the operation that carries it out."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs

from novakit import errors, tracing, world
from novakit.agent.calls import HostCalls
from novakit.bus import Bus, BusError, RemoteError, RemoteNotFound, Targets, topics
from novakit.compute import states
from novakit.compute.flavors import hardware
from novakit.compute.patterns import Pattern
from novakit.compute.quotas import Book, Quotas
from novakit.compute.records import Action, Event, Server
from novakit.compute.requests import CreateRequest
from novakit.compute.unshelving import Place, snapshot_of, unshelving
from novakit.context import RequestContext
from novakit.gather import Gather
from novakit.image import Image, Images
from novakit.network import Networks, PortInfo
from novakit.request_spec.device_profiles import DeviceProfile, applied
from novakit.store import Session, Store, operations
from novakit.store.compute import server_groups
from novakit.store.compute import servers as rows
from novakit.store.compute.server_list import Wanted, listed
from novakit.store.engine import Row

MAX_SERVERS = 1000
"""Servers that one request makes at most, whatever the quota."""

LONGEST_NAME, LONGEST_LABEL = 255, 63
"""Characters of a server's name, and of one label of a host name."""

_FIELDS = tuple(field.name for field in attrs.fields(Server))
_VERBS = {"os-start": "start", "os-stop": "stop"}
"""The operation that carries out an action, where it is not named like it."""


@attrs.frozen
class _New:
    """What one request wants written."""

    context: RequestContext
    request: CreateRequest
    servers: Sequence[dict[str, Any]]
    operations: Sequence[dict[str, Any]]

    @property
    def project(self) -> str:
        """Say whose quota they count against."""
        return self.context.project_id or ""

    @property
    def group(self) -> Any:
        """Give the server group that was asked for, if any."""
        return self.request.scheduler_hints.get("group")


def _fitting(book: Book, request: CreateRequest, members: int | None = None) -> int:
    """Say how many of the servers fit into the quota, at least `min_count`, and book them; raise `Forbidden`.

    `members` is how many the server group that they are to join has already; None without a group.
    """
    each = {"instances": 1, "cores": request.flavor["vcpus"], "ram": request.flavor["ram"]}
    most = request.max_count if members is None else book.most_members(request.max_count, members)
    count = max(book.most(most, **each), request.min_count)
    if members is not None:
        book.admit_members(members + count)
    book.take(**{name: count * amount for name, amount in each.items()})
    return count


@attrs.define
class Servers:
    """The servers of the cloud."""

    store: Store
    bus: Bus
    agents: Targets[HostCalls]
    images: Images
    networks: Networks
    quotas: Quotas
    device_profiles: Mapping[str, DeviceProfile] = attrs.field(factory=dict)
    _creating: Gather[_New, int | errors.NovakitError] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._creating = Gather(self._create_many)

    async def create(self, context: RequestContext, request: CreateRequest) -> list[Server]:
        """Write new servers with the operations that build them.

        Raises `BadRequest` for an image, topology or network that cannot be used, `Forbidden` above the quota.
        """
        request = await self._bounded(context, request)
        specs = applied(request.flavor["extra_specs"] or {}, self.device_profiles)
        request = attrs.evolve(request, flavor={**request.flavor, "extra_specs": specs})
        image = await self._image(context, request)
        hardware.check(request.flavor, image.properties)
        cards = await self.networks.check_request(
            context, request.networks, request.security_groups, servers=request.max_count
        )
        now, reservation = world.now(), f"r-{world.new_id()[:8]}"
        new = [self._row(context, request, image, index, reservation, now) for index in range(request.max_count)]
        data = {
            "networks": [attrs.asdict(each) for each in cards],
            "availability_zone": request.availability_zone,
            "forced_host": request.forced_host or request.requested_host,
            "forced_node": request.forced_node or request.requested_node,
            "forced": bool(request.forced_host or request.forced_node),
            "excluded": [],
            "tries": 1,
        }
        begun = [self._operation(context, "create", row["id"], **data) for row in new]
        written = await self._creating(_New(context, request, new, begun))
        if isinstance(written, errors.NovakitError):
            raise written
        await self._tell_conductor()
        return [_server({**_EMPTY, **row}) for row in new[:written]]

    async def _bounded(self, context: RequestContext, request: CreateRequest) -> CreateRequest:
        """Cut what is asked for to what the quota leaves and one request may make, before anything grows with it."""
        if request.max_count == 1:
            return request
        async with self.store.read() as session:
            count = _fitting(await self.quotas.book(session, context.project_id or ""), request)
        if request.min_count > MAX_SERVERS:
            raise errors.BadRequest(f"One request makes at most {MAX_SERVERS} servers; ask several times for more.")
        return attrs.evolve(request, max_count=min(count, MAX_SERVERS))

    async def _create_many(self, batch: Sequence["_New"]) -> "list[int | errors.NovakitError]":
        """Write what requests that came together ask for; say of each how many of its servers that was, or why none."""
        async with self.store.write() as session:
            return await self._write_new(session, batch)

    async def _write_new(self, session: Session, batch: Sequence["_New"]) -> "list[int | errors.NovakitError]":
        books = {}
        for project in sorted({each.project for each in batch}):
            await session.serialise(f"quota/{project}")
            books[project] = await self.quotas.book(session, project)
        written: list[int | errors.NovakitError] = []
        servers: list[dict[str, Any]] = []
        begun: list[dict[str, Any]] = []
        for each in batch:
            try:
                members = None if each.group is None else await self._members(session, each)
                count = _fitting(books[each.project], each.request, members)
            except (errors.BadRequest, errors.Forbidden) as error:
                written.append(error)
                continue
            written.append(count)
            servers += each.servers[:count]
            begun += each.operations[:count]
            if each.group is not None:
                await server_groups.join(session, each.group, [row["id"] for row in each.servers[:count]])
        if servers:
            await rows.add(session, servers)
            await operations.add(session, begun)
        return written

    async def _members(self, session: Session, new: "_New") -> int:
        """Count the members of the group that was asked for; raise `BadRequest` for one that is not the caller's."""
        group = await server_groups.show(session, new.group) if isinstance(new.group, str) else None
        if group is None or not (new.context.is_admin or group["project_id"] == new.context.project_id):
            raise errors.BadRequest(f"Instance group {new.group} could not be found.")
        return len((await server_groups.members(session, [new.group])).get(new.group, ()))

    async def _image(self, context: RequestContext, request: CreateRequest) -> Image:
        try:
            image = await self.images.get(context, request.image_id)
        except errors.NotFound as error:
            raise errors.BadRequest(f"Image {request.image_id} could not be found.") from error
        flavor = request.flavor
        if image.status != "active":
            raise errors.BadRequest(f"Image {image.id} is not active.")
        if flavor["ram"] < image.min_ram:
            raise errors.BadRequest("Flavor's memory is too small for requested image.")
        if flavor["disk"]:
            if flavor["disk"] < image.min_disk:
                raise errors.BadRequest(
                    f"The created instance's disk would be too small: the image asks for {image.min_disk} GiB, the "
                    f"flavor has {flavor['disk']}."
                )
            if image.virtual_size and image.virtual_size > flavor["disk"] << 30:
                raise errors.BadRequest(
                    f"Flavor's disk is too small for requested image. Flavor disk is {flavor['disk'] << 30} bytes, "
                    f"image is {image.virtual_size} bytes."
                )
        return image

    def _row(
        self,
        context: RequestContext,
        request: CreateRequest,
        image: Image,
        index: int,
        reservation: str,
        now: datetime,
    ) -> dict[str, Any]:
        suffix = f"-{index + 1}" if request.max_count > 1 else ""
        new_id = world.new_id()
        return {
            "id": new_id,
            "project_id": context.project_id,
            "user_id": context.user_id,
            "name": f"{request.name[: LONGEST_NAME - len(suffix)]}{suffix}",
            "description": request.description,
            "hostname": request.hostname or hostname_of(request.name, suffix) or f"server-{new_id}",
            "vm_state": states.NEW[0],
            "task_state": states.NEW[1],
            "availability_zone": None,
            "pinned_availability_zone": request.availability_zone,
            "flavor": dict(request.flavor),
            "vcpus": request.flavor["vcpus"],
            "memory_mb": request.flavor["ram"],
            "image_id": image.id,
            "image_properties": dict(image.properties),
            "key_name": request.key_name,
            "public_key": request.public_key,
            "metadata": dict(request.metadata),
            "tags": list(request.tags),
            "config_drive": request.config_drive,
            "user_data": request.user_data,
            "access_ip_v4": request.access_ip_v4,
            "access_ip_v6": request.access_ip_v6,
            "auto_disk_config": request.auto_disk_config,
            "reservation_id": reservation,
            "launch_index": index,
            "root_device_name": "/dev/vda",
            "scheduler_hints": dict(request.scheduler_hints),
            "created_at": now,
            "updated_at": now,
        }

    def _operation(self, context: RequestContext, kind: str, server_id: str, **data: Any) -> dict[str, Any]:
        return {
            "id": world.new_id(),
            "kind": kind,
            "server_id": server_id,
            "project_id": context.project_id or "",
            "user_id": context.user_id,
            "request_id": context.request_id,
            "data": {**data, **tracing.carried()},
        }

    async def _tell_conductor(self, cancelled: Sequence[str] = ()) -> None:
        await topics.OPERATIONS_NEW.publish(self.bus, topics.NewWork(cancelled=frozenset(cancelled)))

    async def show(self, context: RequestContext, server_id: str) -> Server:
        """Give one server; raise `NotFound` for one that the caller may not see."""
        async with self.store.read() as session:
            return _server(await self._visible(session, context, server_id))

    async def list(self, wanted: Wanted, addresses: Sequence[Pattern] = ()) -> Sequence[Server]:
        """Give one page of servers; each of `addresses` must match a fixed address of the server.

        Raises `BadRequest` for a marker that is not there.
        """
        if addresses:
            wanted = attrs.evolve(wanted, ids=await self._with_addresses(addresses, wanted.ids))
        async with self.store.read() as session:
            return [_server(row) for row in await listed(session, wanted)]

    async def _with_addresses(self, patterns: Sequence[Pattern], ids: Sequence[str] | None) -> Sequence[str]:
        """Name the servers, all or of `ids`, that have an address like each of the patterns."""
        owners = set((await self.networks.owners()).values())
        candidates = owners if ids is None else owners & set(ids)
        cards = await self.networks.ports_of(sorted(candidates))
        return [
            server_id
            for server_id, ports in cards.items()
            if all(
                any(pattern.matches(address.ip) for port in ports for address in port.addresses) for pattern in patterns
            )
        ]

    async def _visible(self, session: Session, context: RequestContext, server_id: str) -> Row:
        row = await rows.show(session, server_id)
        if row is None or not (context.is_admin or row["project_id"] == context.project_id):
            raise errors.NotFound(f"Instance {server_id} could not be found.")
        return row

    async def update(self, context: RequestContext, server_id: str, **values: Any) -> Server:
        """Change name, description, hostname, access addresses, disk configuration, metadata or tags."""
        async with self.store.write() as session:
            row = await self._visible(session, context, server_id)
            await rows.change(session, server_id, **values)
        return _server({**row, **values, "updated_at": world.now()})

    async def edit(self, context: RequestContext, server_id: str, column: str, change: Any) -> Any:
        """Change `metadata` or `tags` by a function of what they are; give what they are then."""
        async with self.store.write() as session:
            row = await self._visible(session, context, server_id)
            value = change(row[column])
            await rows.change(session, server_id, **{column: value})
        return value

    async def delete(self, context: RequestContext, server_id: str) -> None:
        """Have a server deleted, whatever else is under way; asking again changes nothing."""
        async with self.store.write() as session:
            row = await self._visible(session, context, server_id)
            self._refuse_locked(context, row)
            if row["task_state"] == "deleting":
                return
            kept = await snapshot_of(session, row)
            operation = self._operation(context, "delete", server_id, snapshot=kept)
            cancelled = await operations.cancel(session, server_id, except_for=operation["id"])
            await operations.add(session, [operation])
            begun = states.begin("delete", server_id, row["vm_state"], row["task_state"])
            await rows.change(session, server_id, **begun, progress=0)
        await self._tell_conductor(cancelled)

    async def act(self, context: RequestContext, server_id: str, action: str, **data: Any) -> None:
        """Have something done to a server: os-start, os-stop, reboot (hard=True or False), shelve or shelveOffload."""
        kind = _VERBS.get(action, action)
        async with self.store.write() as session:
            row = await self._visible(session, context, server_id)
            self._refuse_locked(context, row)
            name = "reboot hard" if data.get("hard") else kind
            begun = states.begin(name, server_id, row["vm_state"], row["task_state"])
            if row["host"] is None:
                raise errors.Conflict(f"Cannot '{kind}' instance {server_id} while it is in vm_state {row['vm_state']}")
            operation = self._operation(context, kind, server_id, host=row["host"], was=row["vm_state"], **data)
            # A hard reboot takes the place of a reboot that still waits for the guest.
            taken_over = row["task_state"] is not None
            cancelled = await operations.cancel(session, server_id, except_for=operation["id"]) if taken_over else []
            await operations.add(session, [operation])
            await rows.change(session, server_id, **begun)
        await self._tell_conductor(cancelled)

    async def unshelve(self, context: RequestContext, server_id: str, place: Place) -> None:
        """Have a shelved server built again; raise `BadRequest` for a place that there is not."""
        async with self.store.write() as session:
            row = await self._visible(session, context, server_id)
            self._refuse_locked(context, row)
            begun = states.begin("unshelve", server_id, row["vm_state"], row["task_state"])
            data = await unshelving(session, row, place)
            await operations.add(session, [self._operation(context, "unshelve", server_id, **data)])
            pinned = data["availability_zone"]
            await rows.change(session, server_id, **begun, pinned_availability_zone=pinned)
        await self._tell_conductor()

    async def lock(self, context: RequestContext, server_id: str, reason: str | None = None) -> None:
        """Keep ordinary users from changing a server; an admin's lock keeps its owner away too."""
        by = "admin" if context.is_admin else "owner"
        async with self.store.write() as session:
            row = await self._visible(session, context, server_id)
            by = "owner" if row["project_id"] == context.project_id and not context.is_admin else by
            await rows.change(session, server_id, locked_by=by, locked_reason=reason)

    async def unlock(self, context: RequestContext, server_id: str) -> None:
        """Let a server be changed again; only an admin undoes an admin's lock."""
        async with self.store.write() as session:
            row = await self._visible(session, context, server_id)
            if row["locked_by"] == "admin" and not context.is_admin:
                raise errors.Forbidden("Policy doesn't allow os_compute_api:os-lock-server:unlock to be performed.")
            await rows.change(session, server_id, locked_by=None, locked_reason=None)

    def _refuse_locked(self, context: RequestContext, row: Row) -> None:
        if row["locked_by"] and not context.is_admin:
            raise errors.Conflict(f"Instance {row['id']} is locked")

    async def console_log(self, context: RequestContext, server_id: str, max_bytes: int = 1 << 20) -> bytes:
        """Give what the guest printed on its console, the last `max_bytes` of it."""
        server = await self.show(context, server_id)
        if server.host is None:
            raise errors.Conflict(f"Instance {server_id} is not ready")
        try:
            return await self.agents.at(server.host).console_log(server_id, max_bytes)
        except RemoteNotFound as error:
            raise errors.Conflict(f"Instance {server_id} is not ready") from error
        except RemoteError as error:
            raise errors.NotFound(f"Unable to get console log: {error}") from error
        except BusError as error:
            raise errors.Unavailable(
                f"The host of instance {server_id} does not answer now; ask again later."
            ) from error

    async def actions(self, context: RequestContext, server_id: str) -> Sequence[Action]:
        """Give everything that was done to a server, newest first; of a deleted one too."""
        async with self.store.read() as session:
            row = await rows.show(session, server_id, deleted=True)
            if row is None or not (context.is_admin or row["project_id"] == context.project_id):
                raise errors.NotFound(f"Instance {server_id} could not be found.")
            return [_action(each) for each in await operations.of_server(session, server_id)]

    async def ports(self, server_ids: Iterable[str]) -> Mapping[str, Sequence[PortInfo]]:
        """Give the cards of servers, for their addresses and security groups."""
        return await self.networks.ports_of(list(server_ids))

    async def security_groups(
        self, server_id: str
    ) -> tuple[Sequence[Mapping[str, Any]], Mapping[str, tuple[str, str]]]:
        """Return the security groups of a server's ports, and name and project of those their rules trust, by id."""
        return await self.networks.security_groups_of(server_id)

    async def add_security_group(self, context: RequestContext, server_id: str, name: str) -> None:
        """Put every port of a server into a security group, at once."""
        await self.show(context, server_id)
        await self.networks.add_security_group(context, server_id, name)

    async def remove_security_group(self, context: RequestContext, server_id: str, name: str) -> None:
        """Take every port of a server out of a security group, at once."""
        await self.show(context, server_id)
        await self.networks.remove_security_group(context, server_id, name)


def hostname_of(name: str, suffix: str = "") -> str:
    """Return a host name made of a server's name and the suffix that tells it from others of one request.

    It is one label: letters, digits and dashes, 63 characters at most with the suffix, as in RFC 1123. It is empty
    where the name holds nothing that a host name may, also where there is a suffix.
    """
    ascii_name = name.encode("ascii", "ignore").decode().lower()
    label = re.sub(r"[^a-z0-9-]", "", re.sub(r"[\s_.]", "-", ascii_name)).strip("-")
    label = label[: LONGEST_LABEL - len(suffix)].strip("-")
    return f"{label}{suffix}" if label else ""


_EMPTY: Mapping[str, Any] = {
    "power_state": 0,
    "host": None,
    "node": None,
    "locked_by": None,
    "locked_reason": None,
    "fault": None,
    "progress": 0,
    "launched_at": None,
    "terminated_at": None,
    "deleted_at": None,
}


def _server(row: Mapping[Any, Any]) -> Server:
    values = {name: row[name] for name in _FIELDS if name in row}
    return Server(**values, hypervisor_hostname=row["node"], server_groups=_group(row))


def _group(row: Mapping[Any, Any]) -> Sequence[str]:
    group = (row["scheduler_hints"] or {}).get("group")
    return [group] if isinstance(group, str) else []


def _action(row: Row) -> Action:
    return Action(
        action=row["kind"],
        server_id=row["server_id"],
        request_id=row["request_id"],
        user_id=row["user_id"],
        project_id=row["project_id"],
        started_at=row["created_at"],
        updated_at=row["updated_at"],
        message="Error" if row["state"] in ("failed", "undoing") else None,
        events=[
            Event(
                name=each["name"],
                started_at=datetime.fromisoformat(each["started_at"]),
                finished_at=datetime.fromisoformat(each["finished_at"]) if "finished_at" in each else None,
                result=each.get("result"),
                host=each.get("host"),
                details=each.get("details"),
            )
            for each in row["events"]
        ],
    )
