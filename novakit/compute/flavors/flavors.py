"""Flavors: the sizes of servers, their extra specs, and who may use the private ones."""

from collections.abc import Mapping, Sequence

import attrs
import sqlalchemy as sa

from novakit import errors, world
from novakit.concurrency.gather import Gather
from novakit.context import RequestContext
from novakit.store import Store
from novakit.store.compute import flavors as rows
from novakit.store.compute.flavors import FlavorRow

Flavor = FlavorRow
"""number, id, name, vcpus, ram, disk, ephemeral, swap, rxtx_factor, is_public, disabled, description, extra_specs."""

_PLAIN = ("created_at", "description", "disabled", "is_public", "name", "rxtx_factor", "swap", "updated_at", "vcpus")

SORT_KEYS: Mapping[str, sa.Column[object]] = {
    "flavorid": rows.flavors.c.id,
    "id": rows.flavors.c.number,
    "memory_mb": rows.flavors.c.ram,
    "root_gb": rows.flavors.c.disk,
    "ephemeral_gb": rows.flavors.c.ephemeral,
    "vcpu_weight": rows.flavors.c.number,
    **{name: rows.flavors.c[name] for name in _PLAIN},
}
"""What lists of flavors may be sorted by, as clients spell it."""


@attrs.define
class Flavors:
    """Every flavor of the cloud."""

    _store: Store
    _showing: Gather[tuple[str, str | None], Flavor | None] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._showing = Gather(self._show_many)

    async def show(self, context: RequestContext, flavor_id: str) -> Flavor:
        """Fetch a flavor that the caller may use. Raises NotFound otherwise."""
        found = await self._showing((flavor_id, None if context.is_admin else context.project_id or ""))
        if found is None:
            raise _missing(flavor_id)
        return found

    async def _show_many(self, questions: Sequence[tuple[str, str | None]]) -> list[Flavor | None]:
        """Answer what was asked together in one session; creates of one flavor are one statement."""
        found: dict[tuple[str, str | None], Flavor | None] = {}
        async with self._store.read() as session:
            for question in dict.fromkeys(questions):
                flavor_id, project = question
                if project is None:
                    found[question] = await rows.flavor(session, flavor_id)
                else:
                    found[question] = await rows.usable(session, flavor_id, project)
        return [found[question] for question in questions]

    async def page(
        self,
        context: RequestContext,
        *,
        is_public: bool | None = True,
        min_ram: int = 0,
        min_disk: int = 0,
        sort_key: str = "flavorid",
        descending: bool = False,
        marker: str | None = None,
        limit: int = 1000,
    ) -> list[Flavor]:
        """Fetch flavors in order; ordinary callers see what they may use, admins choose by `is_public` (None is all).

        Raises BadRequest for a marker that is not among them.
        """
        conditions: list[sa.ColumnElement[bool]] = [
            rows.at_least(rows.flavors.c.ram, min_ram),
            rows.at_least(rows.flavors.c.disk, min_disk),
        ]
        if not context.is_admin:
            conditions += [rows.visible_to(context.project_id), rows.ENABLED]
        elif is_public is True:
            conditions.append(rows.visible_to(context.project_id))
        elif is_public is False:
            conditions.append(rows.PRIVATE)
        async with self._store.read() as session:
            found = await rows.page(session, conditions, SORT_KEYS[sort_key], descending)
        start = 0
        if marker is not None:
            places = [at for at, row in enumerate(found) if row["id"] == marker]
            if not places:
                raise errors.BadRequest(f"marker [{marker}] not found")
            start = places[0] + 1
        return found[start : start + limit]

    async def create(
        self,
        *,
        name: str,
        vcpus: int,
        ram: int,
        disk: int,
        flavor_id: str | None = None,
        ephemeral: int = 0,
        swap: int = 0,
        rxtx_factor: float = 1.0,
        is_public: bool = True,
        description: str | None = None,
        extra_specs: Mapping[str, str] | None = None,
    ) -> Flavor:
        """Add a flavor (`ram`, `swap` in MiB, the disks in GiB). Raises Conflict when id or name is taken."""
        chosen = flavor_id or world.new_id()
        row = {
            "id": chosen,
            "name": name,
            "vcpus": vcpus,
            "ram": ram,
            "disk": disk,
            "ephemeral": ephemeral,
            "swap": swap,
            "rxtx_factor": rxtx_factor,
            "is_public": is_public,
            "description": description,
            "extra_specs": dict(extra_specs or {}),
        }
        try:
            async with self._store.write() as session:
                other = await rows.taken(session, chosen, name)
                if other is not None:
                    raise _taken(chosen, name, other["name"] == name)
                await rows.add(session, row)
                found = await rows.flavor(session, chosen)
        except sa.exc.IntegrityError as error:
            raise _taken(chosen, name, "name" in str(error.orig)) from error
        assert found is not None
        return found

    async def describe(self, flavor_id: str, description: str | None) -> Flavor:
        """Set the description. Raises NotFound."""
        async with self._store.write() as session:
            if not await rows.change(session, flavor_id, description=description):
                raise _missing(flavor_id)
            found = await rows.flavor(session, flavor_id)
        assert found is not None
        return found

    async def remove(self, flavor_id: str) -> None:
        """Delete a flavor; servers made of it keep theirs. Raise `NotFound`."""
        async with self._store.write() as session:
            if not await rows.remove(session, flavor_id):
                raise _missing(flavor_id)

    async def set_extra_specs(self, flavor_id: str, changes: Mapping[str, str]) -> dict[str, str]:
        """Add or replace extra specs. Returns all of them. Raises NotFound."""
        async with self._store.write() as session:
            found = await rows.locked(session, flavor_id)
            if found is None:
                raise _missing(flavor_id)
            specs = {**found["extra_specs"], **changes}
            await rows.change(session, flavor_id, extra_specs=specs)
        return specs

    async def remove_extra_spec(self, flavor_id: str, key: str) -> None:
        """Delete one extra spec; raise `NotFound` when flavor or key is not there."""
        async with self._store.write() as session:
            found = await rows.locked(session, flavor_id)
            if found is None:
                raise _missing(flavor_id)
            specs = dict(found["extra_specs"])
            if specs.pop(key, None) is None:
                raise errors.NotFound(f"Flavor {flavor_id} has no extra specs with key {key}.")
            await rows.change(session, flavor_id, extra_specs=specs)

    async def projects_of(self, context: RequestContext, flavor_id: str) -> list[str]:
        """List the projects that may use a private flavor. Raises NotFound for a public one."""
        flavor = await self.show(context, flavor_id)
        if flavor["is_public"]:
            raise errors.NotFound("Access list not available for public flavors.")
        async with self._store.read() as session:
            return await rows.projects_of(session, flavor_id)

    async def grant(self, flavor_id: str, project_id: str, *, refuse_public: bool = True) -> list[str]:
        """Let a project use a private flavor; list all that may. Raise `Conflict` when it may already or all may."""
        async with self._store.write() as session:
            found = await rows.locked(session, flavor_id)
            if found is None:
                raise _missing(flavor_id)
            if refuse_public and found["is_public"]:
                raise errors.Conflict("Can not add access to a public flavor.")
            if not await rows.grant(session, flavor_id, project_id):
                raise errors.Conflict(
                    f"Flavor access already exists for flavor {flavor_id} and project {project_id} combination."
                )
            return await rows.projects_of(session, flavor_id)

    async def revoke(self, flavor_id: str, project_id: str) -> list[str]:
        """Take a project's access away; list those left. Raise `NotFound` when it had none."""
        async with self._store.write() as session:
            if await rows.flavor(session, flavor_id) is None:
                raise _missing(flavor_id)
            if not await rows.revoke(session, flavor_id, project_id):
                raise errors.NotFound(f"Flavor access not found for {flavor_id} / {project_id} combination.")
            return await rows.projects_of(session, flavor_id)


def _missing(flavor_id: str) -> errors.NotFound:
    return errors.NotFound(f"Flavor {flavor_id} could not be found.")


def _taken(flavor_id: str, name: str, by_name: bool) -> errors.Conflict:
    what = f"name {name}" if by_name else f"ID {flavor_id}"
    return errors.Conflict(f"Flavor with {what} already exists.")
