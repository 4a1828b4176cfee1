"""What people may ask of the scheduler: why a server is where it is, what would happen, how much more fits."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import attrs

from novakit import errors, world
from novakit.bus import Bus, RemoteError, Unreachable
from novakit.context import RequestContext
from novakit.device_profiles import DeviceProfile, applied
from novakit.scheduler.select import described
from novakit.scheduler.service import TARGET
from novakit.store import Store, decisions, flavors, server_groups
from novakit.store.engine import Row

MAX_PAGE = 1000
_ASKABLE = frozenset({"flavor", "image", "project_id", "availability_zone", "host", "hints", "group"})


class ImageSource(Protocol):
    """Where images are looked up: `Images` of the image service."""

    async def show(self, context: RequestContext, image_id: str) -> Mapping[str, Any]:
        """Fetch an image the caller may see; raise `NotFound`."""


@attrs.define
class Reports:
    """The scheduler's decisions, past and possible, for operators and for the owners of servers."""

    store: Store
    bus: Bus
    images: ImageSource
    device_profiles: Mapping[str, DeviceProfile] = attrs.field(factory=dict)

    async def decisions(self, context: RequestContext, query: Mapping[str, str]) -> list[dict[str, Any]]:
        """List decisions, latest first; an owner sees those of the own project, without anything of hosts."""
        strange = sorted(set(query) - {"server_id", "project_id", "outcome", "limit", "marker"})
        if strange:
            raise errors.BadRequest(f"Decisions cannot be listed by {', '.join(strange)}.")
        limit, before = _number(query, "limit", 100), _number(query, "marker", None)
        project = query.get("project_id") if context.is_admin else context.project_id
        async with self.store.read() as session:
            rows = await decisions.some(
                session,
                server_id=query.get("server_id"),
                project_id=project,
                outcome=query.get("outcome"),
                before=before,
                limit=min(limit or MAX_PAGE, MAX_PAGE),
            )
        return [_shown(context, row) for row in rows]

    async def decision(self, context: RequestContext, decision_id: str) -> dict[str, Any]:
        """Give one decision; raise `NotFound` for one of another project, as for one that never was."""
        async with self.store.read() as session:
            row = await decisions.show(session, decision_id)
        if row is None or not (context.is_admin or row["project_id"] == context.project_id):
            raise errors.NotFound(f"There is no decision {decision_id}; old ones are dropped after a while.")
        return _shown(context, row)

    async def explain(self, context: RequestContext, body: Mapping[str, Any]) -> dict[str, Any]:
        """Say what would happen to a server of this flavor and image, without making anything."""
        ask = await self._ask(context, body)
        answer = await self._call("dry_run", {"ask": ask})
        record: dict[str, Any] = answer["decision"]
        if not context.is_admin:
            return tenant_safe(record)
        if "failed" in record:
            record["message"] = f"The scheduler could not decide: {record['failed'].rstrip('.')}."
        return record

    async def capacity(self, context: RequestContext, body: Mapping[str, Any]) -> dict[str, Any]:
        """Count how many more servers of a flavor fit, now or with `survive` hosts lost; for operators only."""
        if not context.is_admin:
            raise errors.Forbidden("Policy doesn't allow novakit:capacity to be performed.")
        given = dict(body)
        survive = given.pop("survive", 0)
        if type(survive) is not int or not 0 <= survive <= 100_000:
            raise errors.BadRequest("survive is a number of hosts, 0 or more.")
        answer = await self._call("capacity", {"ask": await self._ask(context, given), "survive": survive})
        told: dict[str, Any] = answer["capacity"]
        return told

    async def trace(self, context: RequestContext) -> list[dict[str, Any]]:
        """Give hosts and requests as a trace for `novakit simulate`; for operators only."""
        if not context.is_admin:
            raise errors.Forbidden("Policy doesn't allow novakit:trace to be performed.")
        told: list[dict[str, Any]] = (await self._call("trace", {}))["trace"]
        return told

    async def counts(self, context: RequestContext) -> dict[str, Any]:
        """Give the scheduler's counters; for operators only."""
        if not context.is_admin:
            raise errors.Forbidden("Policy doesn't allow novakit:scheduler to be performed.")
        told: dict[str, Any] = (await self._call("counts", {}))["counts"]
        return told

    async def _ask(self, context: RequestContext, body: Mapping[str, Any]) -> dict[str, Any]:
        strange = sorted(set(body) - _ASKABLE)
        if strange or not isinstance(body.get("flavor"), str):
            raise errors.BadRequest(f"Send a flavor and, if wanted, {', '.join(sorted(_ASKABLE - {'flavor'}))}.")
        for name in ("image", "project_id", "availability_zone", "host", "group"):
            if not isinstance(body.get(name), str | None):
                raise errors.BadRequest(f"{name} is a text.")
        if not isinstance(body.get("hints", {}), Mapping):
            raise errors.BadRequest("hints is an object.")
        flavor = await self._flavor(context, body["flavor"])
        return {
            "server_id": world.new_id(),
            "project_id": (body.get("project_id") if context.is_admin else None) or context.project_id or "",
            "user_id": context.user_id,
            "request_id": context.request_id,
            "flavor_name": flavor["name"],
            "vcpus": flavor["vcpus"],
            "memory_mb": flavor["ram"],
            "root_gb": flavor["disk"],
            "ephemeral_gb": flavor["ephemeral"],
            "swap_mb": flavor["swap"],
            "extra_specs": applied(flavor["extra_specs"] or {}, self.device_profiles),
            "image": await self._image(context, body.get("image")),
            "availability_zone": body.get("availability_zone"),
            "host": body.get("host") if context.is_admin else None,
            "hints": body.get("hints", {}),
            "group": await self._group(context, body.get("group")),
        }

    async def _flavor(self, context: RequestContext, wanted: str) -> Row:
        conditions = () if context.is_admin else (flavors.visible_to(context.project_id),)
        async with self.store.read() as session:
            found = await flavors.show(session, wanted, *conditions)
            if found is None and (named := await flavors.taken(session, wanted, wanted)) is not None:
                found = await flavors.show(session, named["id"], *conditions)
        if found is None:
            raise errors.NotFound(f"Flavor {wanted} could not be found.")
        return found

    async def _group(self, context: RequestContext, wanted: str | None) -> dict[str, Any] | None:
        """Name a group of the caller's; where the members of anybody else's stand is nobody's business."""
        if not wanted:
            return None
        async with self.store.read() as session:
            found = await server_groups.show(session, wanted)
        if found is None or not (context.is_admin or found["project_id"] == context.project_id):
            raise errors.NotFound(f"Instance group {wanted} could not be found.")
        return {"id": wanted}

    async def _image(self, context: RequestContext, wanted: str | None) -> dict[str, Any] | None:
        if wanted is None:
            return None
        shown = await self.images.show(context, wanted)
        properties = {key: value for key, value in shown.items() if isinstance(value, str)}
        return {
            "id": wanted,
            "properties": properties,
            "min_ram_mb": int(shown.get("min_ram") or 0),
            "min_disk_gb": int(shown.get("min_disk") or 0),
        }

    async def _call(self, method: str, body: Mapping[str, Any]) -> Any:
        try:
            return await self.bus.call(TARGET, method, body)
        except Unreachable as error:
            raise errors.Unavailable("No scheduler answers; start one with `novakit serve`.") from error
        except RemoteError as error:
            raise errors.BadRequest(str(error)) from error


def _number(query: Mapping[str, str], name: str, missing: int | None) -> int | None:
    text = query.get(name)
    if text is None:
        return missing
    if not text.isdecimal() or len(text) > 15:
        raise errors.BadRequest(f"{name} is a number, 0 or more.")
    return int(text)


def _shown(context: RequestContext, row: Row) -> dict[str, Any]:
    told = described(row)
    return told if context.is_admin else tenant_safe(told)


def tenant_safe(record: Mapping[str, Any]) -> dict[str, Any]:
    """Give what an owner may know of a decision: counts and reasons, nothing of single hosts."""
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
    told["filters"] = [_safe_stage(stage) for stage in record.get("filters", ())]
    return told


def _safe_stage(stage: Mapping[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {name: stage[name] for name in ("name", "before", "after", "asked") if name in stage}
    reasons: Sequence[Mapping[str, Any]] = stage.get("reasons", ())
    if reasons:
        told["reasons"] = [{name: reason[name] for name in ("code", "count", "message")} for reason in reasons]
    return told
