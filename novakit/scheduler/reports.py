"""What people may ask of the scheduler: why a server is where it is, what would happen, how much more fits."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import attrs

from novakit import errors, world
from novakit.bus import Bus, RemoteError, Unreachable, ask_each, client
from novakit.calls import capacity, traces
from novakit.calls.counts import SchedulerCounts
from novakit.calls.decisions import written
from novakit.calls.plugins import About
from novakit.calls.scheduler import SchedulerCalls
from novakit.config import Config
from novakit.context import RequestContext
from novakit.request_spec.device_profiles import DeviceProfile, applied
from novakit.request_spec.hints import servers_named
from novakit.scheduler.pipeline.ask import checked
from novakit.scheduler.select import described
from novakit.scheduler.service import MAX_TRACE
from novakit.store import Store
from novakit.store.compute import flavors, server_groups
from novakit.store.compute.flavors import FlavorRow
from novakit.store.identity import directory as identity
from novakit.store.scheduler import decisions
from novakit.store.scheduler.decisions import DecisionRow
from novakit_hookspecs.scheduling import Ask, GroupAsk, ImageAsk

T = TypeVar("T")

MAX_PAGE = 1000
"""As the compute API's lists."""
SILENT = "No scheduler answers; start one with `novakit serve`."
FAILED = "The scheduler could not do it just now, as when the database is away; try again in a moment."
_REFUSALS = ("BadRequest", "BadCall", "Refused")
"""Kinds of errors with which a scheduler says that what was asked is wrong."""
OUTCOMES = ("placed", "refused")


class ImageLookup(Protocol):
    """Where images are looked up: `Images` of the image service."""

    async def show(self, context: RequestContext, image_id: str) -> Mapping[str, Any]:
        """Fetch an image the caller may see. Raises NotFound."""


@attrs.frozen(kw_only=True)
class DecisionQuery:
    """One page of decisions, as it was asked for; None where anything will do."""

    server_id: str | None = None
    project_id: str | None = None
    outcome: str | None = None
    limit: int = 100
    before: int | None = None
    """The number of the decision at which the page before this one ended."""


@attrs.frozen(kw_only=True)
class DryRun:
    """A server that is asked about and not made."""

    flavor: str
    """By id or name."""
    image: str | None = None
    project_id: str | None = None
    """By id or name; None is the caller's own."""
    availability_zone: str | None = None
    host: str | None = None
    hints: Mapping[str, object] = {}
    group: str | None = None
    """The id of a server group; a hint may name it, too."""


@attrs.frozen(kw_only=True)
class HostsLost(DryRun):
    """A server, and how many hosts may be lost before that many still have to fit."""

    survive: int = 0


async def nothing_known() -> About:
    """Say nothing of how a service runs."""
    return About()


@attrs.define
class SchedulerReports:
    """The scheduler's decisions, past and possible, for operators and for the owners of servers."""

    store: Store
    bus: Bus
    config: Config
    images: ImageLookup
    device_profiles: Mapping[str, DeviceProfile] = attrs.field(factory=dict)
    check: Callable[[Mapping[str, Any], Mapping[str, str]], None] = lambda flavor, properties: None
    """Raises BadRequest for a flavor and the properties of an image that no server could be made of."""
    about: Callable[[], Awaitable[About]] = nothing_known
    """Says with which drivers and plugins the service runs."""

    async def decisions(self, context: RequestContext, wanted: DecisionQuery) -> list[dict[str, object]]:
        """List decisions, latest first; an owner sees those of the own project, without anything of hosts."""
        project = wanted.project_id
        if project is None and not context.is_admin:
            project = context.project_id
        async with self.store.read() as session:
            rows = await decisions.some(
                session,
                server_id=wanted.server_id,
                project_id=project,
                outcome=wanted.outcome,
                before=wanted.before,
                limit=min(wanted.limit or MAX_PAGE, MAX_PAGE),
            )
        return [_shown(context, row) for row in rows]

    async def decision(self, context: RequestContext, decision_id: str) -> dict[str, object]:
        """Return one decision. Raises NotFound for one of another project, as for one that never was."""
        async with self.store.read() as session:
            row = await decisions.decision(session, decision_id)
        if row is None or not (context.is_admin or row["project_id"] == context.project_id):
            raise errors.NotFound(f"There is no decision {decision_id}; old ones are dropped after a while.")
        return _shown(context, row)

    async def explain(self, context: RequestContext, asked: DryRun) -> dict[str, object]:
        """Return what would happen to a server of this flavor and image, without making anything."""
        told = await _answered(self._scheduler.dry_run(await self._ask(context, asked)))
        if not context.is_admin:
            return tenant_safe(written(told))
        if told.failed:
            told = attrs.evolve(told, message=f"The scheduler could not decide: {told.failed.rstrip('.')}.")
        return written(told)

    async def capacity(self, context: RequestContext, asked: HostsLost) -> Mapping[str, object]:
        """Count how many more servers of a flavor fit, now or with `survive` hosts lost; for operators only."""
        ask = await self._ask(context, asked)
        return capacity.written(await _answered(self._scheduler.capacity(ask, asked.survive)))

    async def trace(self, context: RequestContext) -> Sequence[Mapping[str, object]]:
        """Return hosts and requests as a trace for `novakit simulate`; for operators only."""
        return list(traces.lines(await _answered(self._scheduler.trace(MAX_TRACE))))

    async def counts(self, context: RequestContext) -> Sequence[SchedulerCounts]:
        """Return the counters of each scheduler; for operators only."""
        replies = await ask_each(SchedulerCalls.counts, self.bus, self.config)
        told = [reply.value for reply in replies if reply.value is not None]
        if not told:
            raise errors.Unavailable(SILENT)
        return told

    async def _ask(self, context: RequestContext, asked: DryRun) -> Ask:
        servers_named(asked.hints)
        flavor = await self._flavor(context, asked.flavor)
        specs = applied(flavor["extra_specs"] or {}, self.device_profiles)
        image = await self._image(context, asked.image)
        self.check({**flavor, "extra_specs": specs}, image.properties if image else {})
        return checked(
            Ask(
                server_id=world.new_id(),
                project_id=await self._project(context, asked.project_id),
                user_id=context.user_id,
                request_id=context.request_id,
                flavor_name=flavor["name"],
                vcpus=flavor["vcpus"],
                memory_mb=flavor["ram"],
                root_gb=flavor["disk"],
                ephemeral_gb=flavor["ephemeral"],
                swap_mb=flavor["swap"],
                extra_specs=specs,
                image=image,
                availability_zone=asked.availability_zone,
                host=asked.host,
                hints=asked.hints,
                group=await self._group(context, asked.group, asked.hints.get("group")),
            )
        )

    async def _flavor(self, context: RequestContext, wanted: str) -> FlavorRow:
        conditions = () if context.is_admin else (flavors.visible_to(context.project_id),)
        async with self.store.read() as session:
            found = await flavors.flavor(session, wanted, *conditions)
            if found is None and (named := await flavors.taken(session, wanted, wanted)) is not None:
                found = await flavors.flavor(session, named["id"], *conditions)
        if found is None:
            raise errors.NotFound(f"Flavor {wanted} could not be found.")
        return found

    async def project_called(self, wanted: str) -> str:
        """Find a project by id or name. Raises NotFound, and BadRequest where several have the name."""
        async with self.store.read() as session:
            found = await identity.projects_called(session, wanted)
        if len(found) > 1:
            raise errors.BadRequest(
                f"{len(found)} projects are named {wanted}; give the id of one: {', '.join(found)}."
            )
        if not found:
            raise errors.NotFound(f"Project {wanted} could not be found.")
        return found[0]

    async def _project(self, context: RequestContext, wanted: str | None) -> str:
        """Find whose the server would be, by id or name; the caller's when nobody is named."""
        if wanted is None or wanted == context.project_id:
            return context.project_id or ""
        async with self.store.read() as session:
            found = await identity.projects_called(session, wanted)
        if not context.is_admin and found != [context.project_id]:
            raise errors.Forbidden("Policy doesn't allow novakit:explain:project_id to be performed.")
        if len(found) > 1:
            raise errors.BadRequest(
                f"{len(found)} projects are named {wanted}; give the id of one: {', '.join(found)}."
            )
        if not found:
            raise errors.NotFound(f"Project {wanted} could not be found.")
        return found[0]

    async def _group(self, context: RequestContext, wanted: str | None, hinted: object) -> GroupAsk | None:
        """Name a group of the caller's; where the members of anybody else's stand is nobody's business.

        What the hint names is refused as POST /servers would refuse it.
        """
        if wanted and hinted and wanted != hinted:
            raise errors.BadRequest("group and the hint group name different server groups; name one.")
        if hinted is not None and not await self._may_join(context, hinted):
            raise errors.BadRequest(f"Instance group {hinted} could not be found.")
        if wanted and not await self._may_join(context, wanted):
            raise errors.NotFound(f"Instance group {wanted} could not be found.")
        named = hinted or wanted
        return GroupAsk(id=str(named), policy="") if named else None

    async def _may_join(self, context: RequestContext, group: object) -> bool:
        async with self.store.read() as session:
            found = await server_groups.server_group(session, group) if isinstance(group, str) else None
        return found is not None and (context.is_admin or found["project_id"] == context.project_id)

    async def _image(self, context: RequestContext, wanted: str | None) -> ImageAsk | None:
        if wanted is None:
            return None
        shown = await self.images.show(context, wanted)
        return ImageAsk(
            id=wanted,
            properties={key: value for key, value in shown.items() if isinstance(value, str)},
            min_ram_mb=int(shown.get("min_ram") or 0),
            min_disk_gb=int(shown.get("min_disk") or 0),
            disk_format=str(shown.get("disk_format") or ""),
        )

    @property
    def _scheduler(self) -> SchedulerCalls:
        return client(SchedulerCalls, self.bus, self.config)


async def _answered(answer: Awaitable[T]) -> T:
    """Wait for a scheduler. Raises Unavailable where none answers or it failed, BadRequest for what it refuses."""
    try:
        return await answer
    except Unreachable as error:
        raise errors.Unavailable(SILENT) from error
    except RemoteError as error:
        if error.kind in _REFUSALS:
            raise errors.BadRequest(str(error)) from error
        # Its own words stay in its log: those of the database quote SQL.
        raise errors.Unavailable(FAILED) from error


def _shown(context: RequestContext, row: DecisionRow) -> dict[str, object]:
    told = described(row)
    return told if context.is_admin else tenant_safe(told)


def tenant_safe(record: Mapping[str, object]) -> dict[str, object]:
    """Return what an owner may know of a decision: counts and reasons, nothing of single hosts."""
    kept = (
        "id",
        "number",
        "outcome",
        "at",
        "server_id",
        "request_id",
        "project_id",
        "hosts",
        "message",
        "availability_zone",
    )
    told = {name: record[name] for name in kept if name in record}
    told["filters"] = [_safe_stage(stage) for stage in _objects(record.get("filters"))]
    return told


def _safe_stage(stage: Mapping[str, object]) -> dict[str, object]:
    told = {name: stage[name] for name in ("name", "before", "after", "asked") if name in stage}
    if reasons := _objects(stage.get("reasons")):
        told["reasons"] = [{name: reason[name] for name in ("code", "count", "message")} for reason in reasons]
    return told


def _objects(some: object) -> list[Mapping[str, object]]:
    """Return the JSON objects of a list; none where it is no list."""
    return [one for one in some if isinstance(one, Mapping)] if isinstance(some, list) else []
