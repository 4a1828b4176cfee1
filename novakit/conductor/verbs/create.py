"""Create: place the server, wire its ports, build the guest, and take all of it back when that fails."""

from collections.abc import Sequence
from typing import Any

import attrs

from novakit import world
from novakit.agent.calls import BuildPlan, ImageSource, NicPlan
from novakit.bus import RemoteBusy, RemoteError, RemoteRefused, topics
from novakit.compute import metadata, states
from novakit.compute.records import POWER_NUMBERS
from novakit.conductor.parts import Parts
from novakit.conductor.work import Commit, Failed, Postponed, Rewind, Step, Verb, Work
from novakit.context import RequestContext
from novakit.errors import NotFound, NovakitError
from novakit.gather import Gather
from novakit.network import PortInfo, Requested
from novakit.scheduler.answers import Earlier, Refusal
from novakit.store.compute import servers
from novakit.store.engine import Row, Session
from novakit_hookspecs.devices import PciAttachment
from novakit_hookspecs.numa import Taken
from novakit_hookspecs.plain import to_plain, to_record
from novakit_hookspecs.scheduling import Ask, GroupAsk, ImageAsk
from novakit_hookspecs.servers import Power

SERVICE = RequestContext(request_id="", user_id="novakit", roles=frozenset({"admin", "service"}))
"""Who the conductor is to the other services."""


@attrs.define
class Create:
    """The steps of creating a server.

    `work.data` holds: networks (what was asked), security_groups, availability_zone, forced_host, hints, excluded
    (hosts that failed), failures (what each of them said), tries, and once placed host, node, what was given there of
    NUMA cells (numa) and PCI devices (devices), and alternates (the next best hosts, best first).
    """

    parts: Parts
    _reading: Gather[str, Row | None] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._reading = Gather(self._read)

    def verb(self) -> Verb:
        """Give the operation."""
        return Verb(
            kind="create",
            steps=(
                Step(name="place", do=self.place, shown_as="conductor_schedule_and_build_instances"),
                Step(name="wire", do=self.wire),
                Step(
                    name="build",
                    do=self.build,
                    shown_as="compute__do_build_and_run_instance",
                    interruptible=True,
                ),
            ),
            undo=self.undo,
            patience=self.parts.config.conductor.patience,
        )

    async def place(self, work: Work) -> Commit:
        """Choose a host and claim what the server needs of it; asked again, the same claim answers."""
        if "left" in work.data:
            await self._clear(work)
            del work.data["left"]
        found = await self.find_host(await self.server_of(work), work)
        return servers.Change(work.server_id, {**found, **states.target("create", "place")})

    async def find_host(self, server: Row, work: Work) -> dict[str, Any]:
        """Have a host chosen and claimed, and give what is written of it; raise `Failed` where there is none."""
        data = work.data
        earlier = {}
        if hosts := data.get("alternates"):
            earlier = {server["id"]: Earlier(decision_id=data["decision"], hosts=tuple(hosts))}
        (result,) = await self.parts.scheduler.select((ask(server, work),), earlier)
        data["decision"] = result.decision_id
        if isinstance(result, Refusal):
            raise _refusal(result, data.get("failures", ()))
        zone = result.availability_zone or "nova"
        data |= {"host": result.host, "node": result.node, "zone": zone}
        data |= {"numa": to_plain(result.numa), "devices": to_plain(result.devices)}
        data["alternates"] = [each["host"] for each in result.alternates]
        return {"host": result.host, "node": result.node, "availability_zone": zone}

    async def wire(self, work: Work) -> Commit:
        """Give the server its ports and have the host wire them."""
        server = await self.server_of(work)
        networks = self.parts.networks
        try:
            await networks.allocate(
                server_id=server["id"],
                project_id=server["project_id"],
                hostname=server["hostname"],
                requested=[Requested(**each) for each in work.data["networks"]],
            )
        except NovakitError as error:
            raise Failed(f"The network could not be set up: {error.message}", details=repr(error)) from error
        if work.data["networks"]:
            work.seen["ports"] = await networks.bind(server["id"], work.data["host"], work.data["zone"])
            await self.parts.wiring.ensure(work.data["host"])

        return servers.Change(work.server_id, states.target("create", "wire"))

    async def build(self, work: Work) -> Commit:
        """Have the host fetch the image, build the guest and start it."""
        server = await self.server_of(work)
        try:
            power = await self.build_guest(server, work, server["image_id"])
        except RemoteError as error:
            if self.is_final(work, error):
                raise
            raise self._elsewhere(work, error) from error
        return servers.Change(
            work.server_id,
            {
                **states.target("create", "build"),
                "power_state": POWER_NUMBERS[power],
                "launched_at": world.now(),
                "progress": 0,
            },
        )

    async def build_guest(self, server: Row, work: Work, image_id: str | None) -> Power:
        """Have the host build the guest from an image and start it; raise `RemoteError` when the host cannot."""
        ports = work.seen.get("ports")
        if ports is None:
            ports = (await self.parts.networks.ports_of([server["id"]])).get(server["id"], [])
        try:
            plan = await self.plan(server, ports, image_id, work)
            guest = await self.parts.hosts.at(work.data["host"]).build(work.id, plan)
        except RemoteBusy as error:
            await self.parts.wiring.ensure(work.data["host"])
            raise Postponed(str(error), 0.5) from error
        except RemoteRefused:
            raise
        except RemoteError:
            await self._tell_ended(work, worked=False)
            raise
        await self._tell_ended(work, worked=True)
        return guest.power

    async def _tell_ended(self, work: Work, *, worked: bool) -> None:
        """Let schedulers avoid hosts whose builds fail; what a host refuses is the request's fault and not its own.

        What the operation remembers of it is written with its step, and is what a host's failure rate is made of.
        """
        host = work.data["host"]
        work.data["builds"] = [*work.data.get("builds", ()), [host, worked]]
        await topics.BUILDS_ENDED.publish(self.parts.bus, topics.BuildEnded(host=host, worked=worked))

    def is_final(self, work: Work, error: RemoteError) -> bool:
        """Say whether a build that failed is tried nowhere else.

        The request is at fault, the server is bound to this host, or it was tried often enough.
        """
        bound = work.data.get("forced_host") or work.data.get("forced_node")
        tried = work.data["tries"] >= self.parts.config.scheduler.max_attempts
        return bool(bound) or isinstance(error, RemoteRefused) or tried

    def _elsewhere(self, work: Work, error: RemoteError) -> Rewind:
        """Leave this host for good; `place` clears it, again after a crash, before it chooses another."""
        host = leave(work, error)
        del work.data["host"], work.data["node"]
        work.seen.pop("ports", None)

        async def commit(session: Session) -> None:
            await states.move(session, work.server_id, "create", "elsewhere", host=None, node=None)

        return Rewind("place", f"{host}: {error}", commit)

    async def undo(self, work: Work, failure: Failed) -> Commit:
        """Leave nothing of the server but its row, in ERROR with the reason."""
        async with self.parts.store.write() as session:
            await servers.fail(session, work.server_id, fault(failure))
        await self._clear(work)

        async def commit(session: Session) -> None:
            await servers.change(session, work.server_id, host=None, node=None)

        return commit

    async def _clear(self, work: Work) -> None:
        """Give back what was made for the server, on the host it is on and on the one it left."""
        for host in {host for name in ("host", "left") if (host := work.data.get(name))}:
            await self.parts.hosts.at(host).destroy(work.server_id)
        await self.parts.networks.release(work.server_id)
        async with self.parts.store.write() as session:
            await self.parts.placement.release(session, work.server_id)

    async def plan(self, server: Row, ports: list[PortInfo], image_id: str | None, work: Work) -> BuildPlan:
        """Write down everything the host needs to build the guest."""
        flavor = server["flavor"]
        return BuildPlan(
            id=server["id"],
            name=server["name"],
            hostname=server["hostname"],
            vcpus=flavor["vcpus"],
            memory_mb=flavor["ram"],
            root_gb=flavor["disk"],
            ephemeral_gb=flavor.get("ephemeral", 0),
            swap_mb=flavor.get("swap", 0),
            image=await self._image_source(server, image_id),
            nics=tuple(NicPlan(port_id=port.id, mac=port.mac) for port in ports),
            config_drive=metadata.config_drive(server, ports) if server["config_drive"] else None,
            extra_specs=flavor.get("extra_specs", {}),
            image_properties={key: str(value) for key, value in server["image_properties"].items()},
            attachments=tuple(PciAttachment(address=one["address"]) for one in work.data.get("devices", [])),
            numa=to_record(work.data.get("numa", []), tuple[Taken, ...]),
            owner={
                "user_id": server["user_id"],
                "project_id": server["project_id"],
                "flavor": flavor["name"],
                "image": server["image_id"] or "",
            },
        )

    async def _image_source(self, server: Row, image_id: str | None) -> ImageSource | None:
        if not image_id:
            return None
        try:
            image = await self.parts.images.get(SERVICE, image_id)
        except NotFound as error:
            raise Failed("The image was deleted before the server was built.") from error
        if image.sha256 is None or image.size is None or image.disk_format is None:
            raise Failed("The image has no content.")
        return ImageSource(
            id=image.id,
            sha256=image.sha256,
            size=image.size,
            disk_format=image.disk_format,
            url=f"{self.parts.config.url}/image/v2/images/{image.id}/file",
            token=await self.parts.identity.service_token(project_id=server["project_id"]),
        )

    async def _read(self, ids: Sequence[str]) -> list[Row | None]:
        async with self.parts.store.read() as session:
            found = {row["id"]: row for row in await servers.some(session, ids) if row["deleted_at"] is None}
        return [found.get(server_id) for server_id in ids]

    async def server_of(self, work: Work) -> Row:
        """Read the server once: what its plan is made of does not change while it is built."""
        if "server" not in work.seen:
            work.seen["server"] = await self._reading(work.server_id)
        server: Row | None = work.seen["server"]
        if server is None:
            raise Failed("The server was deleted meanwhile.")
        return server


def leave(work: Work, error: RemoteError) -> str:
    """Note that the host could not build the server and is to be cleared and left; give its name."""
    host: str = work.data["host"]
    work.end(world.now().isoformat(), "Error", str(error))
    work.data["excluded"] = [*work.data["excluded"], host]
    work.data["failures"] = [*work.data.get("failures", ()), f"{host}: {error}"[:500]]
    work.data["tries"] += 1
    work.data["left"] = host
    return host


def ask(server: Row, work: Work) -> Ask:
    """Write down what the scheduler must know to place a server."""
    flavor, data = server["flavor"], work.data
    group = server["scheduler_hints"].get("group")
    return Ask(
        server_id=server["id"],
        project_id=server["project_id"],
        user_id=server["user_id"],
        request_id=work.request_id,
        flavor_name=flavor["name"],
        vcpus=flavor["vcpus"],
        memory_mb=flavor["ram"],
        root_gb=flavor["disk"],
        ephemeral_gb=flavor.get("ephemeral", 0),
        swap_mb=flavor.get("swap", 0),
        extra_specs=flavor.get("extra_specs", {}),
        image=_image_ask(server),
        availability_zone=data.get("availability_zone"),
        host=data.get("forced_host"),
        node=data.get("forced_node"),
        force=bool(data.get("forced")),
        hints=server["scheduler_hints"],
        # Its rule and members are read where the decision is made: they may change until then.
        group=GroupAsk(id=group, policy="") if isinstance(group, str) else None,
        excluded_hosts=data["excluded"],
    )


def _refusal(refused: Refusal, failures: Sequence[str]) -> Failed:
    """Say why no host was found, and that some were tried before: to the owner how many, to admins which and why."""
    message, detail = refused.message, refused.detail
    if failures:
        hosts = "1 host" if len(failures) == 1 else f"{len(failures)} hosts"
        message += f" Before that, the server could not be built on {hosts}."
        detail += f" Builds that failed: {'; '.join(failures)}."
    return Failed(message, details=detail)


def _image_ask(server: Row) -> ImageAsk | None:
    if not server["image_id"]:
        return None
    properties = {key: str(value) for key, value in server["image_properties"].items()}
    return ImageAsk(id=server["image_id"], properties=properties)


def fault(failure: Failed) -> dict[str, Any]:
    """Write a failure as the fault its owner reads."""
    return {
        "code": failure.code,
        "message": failure.message,
        "details": failure.details,
        "created": world.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
