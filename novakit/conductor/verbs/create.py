"""Create: write the servers within the quota, then place each, wire its ports, build its guest; or take it all back.

The idea: all that can be refused is refused before anything is written, and the rest is the conductor's. Requests
that come together share a transaction, each with an answer of its own.
The invariant: a server row and its operation are written together or not at all, and within the quota: it is counted
in that transaction, under the lock of the project. A refused request leaves nothing behind and costs no other one.
The cost: one transaction for all requests that wait at the moment; alone, `POST /servers` is answered in 5 to 11 ms,
of which one flush of the disk is a part.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs

from novakit import errors, world
from novakit.bus import RemoteError
from novakit.compute.flavors import hardware
from novakit.compute.quotas import Book, Quotas
from novakit.compute.records import Server
from novakit.compute.requests import CreateRequest
from novakit.compute.rules import ADMIN, MEMBER, ActionRule
from novakit.compute.servers import new_server
from novakit.compute.states import ANY, POWER_NUMBERS, REQUEST, UNDO, Move, when
from novakit.concurrency.gather import Gather
from novakit.conductor.parts import Parts
from novakit.conductor.requests import Handover, NewOperations, operation_of
from novakit.conductor.steps import building, clearing
from novakit.conductor.verb import FieldRule, OwnRoute, Step, Verb
from novakit.conductor.work import Commit, Failed, HandedOver, Seen, Work
from novakit.context import RequestContext
from novakit.image import Image, Images
from novakit.network import Networks, Requested
from novakit.network.servers.requests import ATTACH_EXTERNAL
from novakit.request_spec.device_profiles import DeviceProfile, applied
from novakit.store import Session, Store, quota
from novakit.store.compute import server_groups, servers
from novakit.store.operations import NewOperation
from novakit_hookspecs.fields import tuple_field

REQUESTED_HOST = ActionRule("compute:servers:create:requested_destination", ADMIN)
FORCED_HOST = ActionRule("os_compute_api:servers:create:forced_host", ADMIN)
"""For a host that the availability zone names, as `nova:HOST`."""
ATTACH_NETWORK = ActionRule("os_compute_api:servers:create:attach_network", MEMBER)
ZERO_DISK = ActionRule("os_compute_api:servers:create:zero_disk_flavor", ADMIN)
"""For a flavor without a disk size: its servers take as much of their host as the image says, which who uploads images
may choose."""
MAX_SERVERS = 1000
"""Servers that one request makes at most, whatever the quota."""

LONGEST_NAME, LONGEST_LABEL = 255, 63
"""Characters of a server's name, and of one label of a host name."""
_DASHED, _NO_LABEL = re.compile(r"[\s_.]"), re.compile(r"[^a-z0-9-]")
"""What is a dash in a host name, and what is left out of it."""


LEFT: servers.ServerColumns = {"host": None, "node": None}
"""What the row of a server says that is on no host yet, or has left one."""


@attrs.frozen(kw_only=True)
class Creating(building.Building):
    """What a create remembers."""

    networks: tuple[Requested, ...] = tuple_field()
    """The ports that were asked for."""
    admin_pass: str | None = attrs.field(default=None, repr=False)
    """What the guest is told by its config drive; forgotten once the operation has ended."""


async def place(work: Work[Creating], parts: Parts) -> Commit:
    """Choose a host and claim what the server needs of it; asked again, the same claim answers."""
    if work.memory.left:
        await _clear(work, parts)
        work.memory = attrs.evolve(work.memory, left=None)
    return work.moved("place", **await building.find_host(work, parts))


async def wire(work: Work[Creating], parts: Parts) -> Commit:
    """Give the server its ports and have the host wire them."""
    server, host = await building.server_of(work, parts), work.host
    try:
        work.seen.ports = await parts.networks.allocate(
            server_id=server["id"],
            project_id=server["project_id"],
            hostname=server["hostname"],
            requested=work.memory.networks,
            host=host,
            zone=str(work.memory.zone),
        )
    except errors.NovakitError as error:
        raise Failed(f"The network could not be set up: {error.message}", details=f"{host}: {error.message}") from error
    # Host and ports are committed by now; what others commit until the guest is asked for need not be waited for.
    work.seen.commits = parts.store.commits
    if work.memory.networks:
        await building.wire_there(work, parts, LEFT)
    return work.moved("wire")


async def build(work: Work[Creating], parts: Parts) -> Commit:
    """Have the host fetch the image, build the guest and start it."""
    server = await building.server_of(work, parts)
    try:
        password = work.memory.admin_pass
        power = await building.build_guest(work, parts, server["image_id"], admin_pass=password, left=LEFT)
    except RemoteError as error:
        raise building.elsewhere(work, parts, error, LEFT) from error
    launched = await building.note_end(work, parts)
    return work.moved("build", power_state=POWER_NUMBERS[power], launched_at=launched, progress=0)


async def undo(work: Work[Creating], parts: Parts) -> Commit:
    """Take everything back, so that nothing is left of the server but its row."""
    await _clear(work, parts)

    async def commit(session: Session) -> None:
        await servers.change(session, work.server_id, **LEFT)

    return commit


async def _clear(work: Work[Creating], parts: Parts) -> None:
    """Give back what was made for the server, on its host and on one that it has left."""
    for host in (work.memory.host, work.memory.left):
        if host:
            await clearing.leave_unless_down(parts, host, work.server_id, work.beside.noted_end)
    await parts.networks.release(work.server_id)
    async with parts.store.write() as session:
        await parts.placement.release(session, work.server_id)


_BUILDING = ("building",)
CREATE = Verb(
    kind="create",
    route=OwnRoute(
        method="POST",
        path="/servers",
        rule=ActionRule("os_compute_api:servers:create", MEMBER),
        fields=tuple(FieldRule(name, (2, 74), REQUESTED_HOST) for name in ("host", "hypervisor_hostname")),
        asks=(FORCED_HOST, ATTACH_NETWORK, ZERO_DISK, ActionRule(ATTACH_EXTERNAL, ADMIN)),
    ),
    remembers=Creating,
    places=True,
    moves=(
        Move(REQUEST, {}, "building", "scheduling"),
        Move("place", when(_BUILDING, "scheduling"), None, "networking"),
        Move("wire", when(_BUILDING, "networking"), None, "spawning"),
        Move("elsewhere", when(_BUILDING, "networking", "spawning"), None, "scheduling"),
        Move("build", when(_BUILDING, "spawning"), "active", None),
        # Whatever somebody has said meanwhile that it is: nothing of it is left.
        Move(UNDO, {ANY: (ANY,)}, "error", None),
    ),
    steps=(
        Step(
            name="place",
            do=place,
            undo=undo,
            shown_as="conductor_schedule_and_build_instances",
            # The ports that follow are flushed, and `build_guest` waits for that before it asks the host.
            is_flushed_later=True,
        ),
        Step(name="wire", do=wire, is_written_later=True),
        Step(name="build", do=build, shown_as="compute__do_build_and_run_instance", interruptible=True),
    ),
    fails_first=True,
)


@attrs.frozen
class _New:
    """What one request wants written."""

    context: RequestContext
    request: CreateRequest
    servers: Sequence[dict[str, Any]]
    operations: Sequence[NewOperation]
    memory: Creating
    """What each of the operations remembers."""

    @property
    def project(self) -> str:
        """Return whose quota they count against."""
        return self.context.project_id or ""

    @property
    def group(self) -> Any:
        """Return the server group that was asked for, if any."""
        return self.request.scheduler_hints.get("group")


def _fitting(book: Book, request: CreateRequest, members: int | None = None) -> int:
    """Return how many of the servers fit into the quota, at least `min_count`, and book them. Raises Forbidden.

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
class Creation:
    """Begins creates: what `Requests` is for the verbs of servers that are there."""

    store: Store
    handover: Handover
    images: Images
    networks: Networks
    quotas: Quotas
    device_profiles: Mapping[str, DeviceProfile] = attrs.field(factory=dict)
    _creating: Gather[_New, int | errors.NovakitError] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._creating = Gather(self._create_many)

    async def create(self, context: RequestContext, request: CreateRequest) -> list[Server]:
        """Write new servers with the operations that build them.

        Raises BadRequest for an image, topology or network that cannot be used, Forbidden above the quota.
        """
        request = await self._bounded(context, request)
        specs = applied(request.flavor["extra_specs"] or {}, self.device_profiles)
        if specs != request.flavor["extra_specs"]:
            request = attrs.evolve(request, flavor={**request.flavor, "extra_specs": specs})
        image = await self._image(context, request)
        hardware.check(request.flavor, image.properties)
        nics = await self.networks.check_request(
            context, request.networks, request.security_groups, servers=request.max_count
        )
        now, reservation = world.now(), f"r-{world.new_id()[:8]}"
        new = [self._row(context, request, image, index, reservation, now) for index in range(request.max_count)]
        memory = Creating(
            networks=tuple(nics),
            admin_pass=request.admin_pass if request.config_drive else None,
            availability_zone=request.availability_zone,
            disk_format=image.disk_format or "",
            forced_host=request.forced_host or request.requested_host,
            forced_node=request.forced_node or request.requested_node,
            forced=bool(request.forced_host or request.forced_node),
        )
        begun = [operation_of(context, CREATE, row["id"], memory, now) for row in new]
        written = await self._creating(_New(context, request, new, begun, memory))
        if isinstance(written, errors.NovakitError):
            raise written
        return [new_server(row) for row in new[:written]]

    async def _bounded(self, context: RequestContext, request: CreateRequest) -> CreateRequest:
        """Return the request with no more servers than quota and `MAX_SERVERS` leave, before any is made."""
        if request.max_count == 1:
            return request
        async with self.store.read() as session:
            count = _fitting(await self.quotas.book(session, context.project_id or ""), request)
        if request.min_count > MAX_SERVERS:
            raise errors.BadRequest(f"One request makes at most {MAX_SERVERS} servers; ask several times for more.")
        return attrs.evolve(request, max_count=min(count, MAX_SERVERS))

    async def _create_many(self, batch: Sequence["_New"]) -> "list[int | errors.NovakitError]":
        """Write what requests that came together ask for; return how many servers of each, or why it is refused."""
        async with self.handover.writing() as (session, new):
            return await self._write_new(session, new, batch)

    async def _write_new(
        self, session: Session, new: NewOperations, batch: Sequence["_New"]
    ) -> "list[int | errors.NovakitError]":
        projects = {each.project for each in batch}
        await quota.hold(session, "servers", projects)
        books = {project: await self.quotas.book(session, project) for project in projects}
        written: list[int | errors.NovakitError] = []
        rows: list[dict[str, Any]] = []
        begun: list[NewOperation] = []
        memories: list[Creating] = []
        for each in batch:
            try:
                members = None if each.group is None else await self._members(session, each)
                count = _fitting(books[each.project], each.request, members)
            except (errors.BadRequest, errors.Forbidden) as error:
                written.append(error)
                continue
            written.append(count)
            rows += each.servers[:count]
            begun += each.operations[:count]
            memories += [each.memory] * count
            if each.group is not None:
                await server_groups.join(session, each.group, [row["id"] for row in each.servers[:count]])
        if rows:
            await servers.add(session, rows)
            # What is read of a server later is what is written of it now; only its number is the database's.
            await new.add(
                session,
                begun,
                lambda place: HandedOver(memories[place], Seen(server=servers.as_read(rows[place]))),
            )
        return written

    async def _members(self, session: Session, new: "_New") -> int:
        """Count the members of the group that was asked for. Raises BadRequest for one that is not the caller's."""
        # Locked: whoever deletes it at this moment must know its new members, or there is no such group any more.
        wanted = [new.group] if isinstance(new.group, str) else []
        group = (await server_groups.policies(session, wanted, lock=True)).get(new.group)
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
            **CREATE.move(REQUEST).target(),
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


def hostname_of(name: str, suffix: str = "") -> str:
    """Return a host name made of a server's name and the suffix that tells it from others of one request.

    It is one label: letters, digits and dashes, 63 characters at most with the suffix, as in RFC 1123. It is empty
    where the name holds nothing that a host name may, also where there is a suffix.
    """
    ascii_name = name.encode("ascii", "ignore").decode().lower()
    label = _NO_LABEL.sub("", _DASHED.sub("-", ascii_name)).strip("-")
    label = label[: LONGEST_LABEL - len(suffix)].strip("-")
    return f"{label}{suffix}" if label else ""
