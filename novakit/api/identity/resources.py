"""The nouns of identity that are created, listed, shown, changed and deleted all in the same way."""

from collections.abc import Callable, Mapping, Sequence

import attrs
import orjson
from aiohttp import web

from novakit import errors
from novakit.api import ids, records
from novakit.api.bodies import Definition
from novakit.api.documents import Document
from novakit.api.identity import checks, filters
from novakit.api.identity.checks import FLAG, ID, NAME, PASSWORD, SHORT_NAME, TEXT
from novakit.api.service import Call, Handler, Route, reply
from novakit.identity import Identity
from novakit.identity.directory import DirectoryEntry
from novakit.identity.values import (
    DirectoryKind,
    DirectoryValues,
    DomainValues,
    EndpointValues,
    ProjectValues,
    RegionValues,
    RoleValues,
    ServiceValues,
    UserValues,
)
from novakit.left_out import LEFT_OUT, LeftOut, either, sent


def collection(
    call: Call[Identity], name: str, items: Sequence[Mapping[str, object]], *, more: bool = False
) -> Document:
    """Write a list as clients read it; `more` says that another page follows."""
    here = f"{call.service.url}{_below(call)}"
    following = None
    if more and items:
        query = call.request.rel_url.update_query(marker=str(items[-1]["id"])).raw_query_string
        following = f"{here.partition('?')[0]}?{query}"
    return {name: items, "links": {"next": following, "self": here, "previous": None}}


def _below(call: Call[Identity]) -> str:
    """Return the path of a request below the mount point."""
    path = call.request.path_qs
    return path[path.index("/v3") :]


@attrs.frozen(kw_only=True)
class Noun:
    """One kind of thing: what a document of it holds, and which filters its list takes."""

    name: str
    plural: DirectoryKind
    shown: Sequence[str]
    fixed: Mapping[str, object] = {}
    """What every document says besides."""
    required: Sequence[str] = ("name",)
    accepts: Mapping[str, object]
    """The JSON schema of each attribute that may be sent."""
    values: type[DirectoryValues]
    """The record that is made of them."""
    frozen: Sequence[str] = ()
    """What cannot be changed later."""
    filters: Sequence[str] = ("name",)
    verbs: Sequence[str] = ("create", "list", "show", "update", "delete")

    def document(self, call: Call[Identity], entry: DirectoryEntry) -> Document:
        """Write an entry as clients read it."""
        link = f"{call.service.url}/v3/{self.plural}/{entry.id}"
        values = entry.values
        shown = {name: values[name] for name in self.shown if values[name] is not None or name not in _SILENT}
        return {**entry.more, "id": entry.id, **shown, **self.fixed, "links": {"self": link}}

    def routes(self) -> list[Route]:
        """Return the routes of this noun."""
        whole, one = f"/v3/{self.plural}", f"/v3/{self.plural}/{{id}}"
        choice = {
            "create": Route(method="POST", path=whole, handler=self._creator(), rule=f"identity:create_{self.name}"),
            "list": Route(method="GET", path=whole, handler=self.list, rule=f"identity:list_{self.plural}"),
            "show": Route(method="GET", path=one, handler=self.show_noun, rule=f"identity:get_{self.name}"),
            "update": Route(method="PATCH", path=one, handler=self._updater(), rule=f"identity:update_{self.name}"),
            "delete": Route(method="DELETE", path=one, handler=self.delete, rule=f"identity:delete_{self.name}"),
        }
        return [choice[verb] for verb in self.verbs]

    def schema(self, required: Sequence[str]) -> Definition:
        """Describe what is said of one, some attributes of which must be."""
        return {"type": "object", "required": list(required), "properties": dict(self.accepts)}

    def _reader(self, required: Sequence[str]) -> Callable[[object], DirectoryValues]:
        whole = {"type": "object", "required": [self.name], "properties": {self.name: self.schema(required)}}
        read = checks.body(dict[str, object], whole)
        return lambda body: records.read(self.values, read(body)[self.name])

    def _creator(self) -> Handler:
        read = self._reader(self.required)

        async def create(call: Call[Identity]) -> web.Response:
            values = read(await call.json())
            kept = await _completed(call, self._with_extra(values, {}))
            entry = await call.service.directory.create(kept)
            return reply({self.name: self.document(call, entry)}, 201)

        return create

    def _updater(self) -> Handler:
        read = self._reader(())

        async def update(call: Call[Identity]) -> web.Response:
            directory = call.service.directory
            values = read(await call.json())
            before = await directory.by_id(self.plural, call.path["id"])
            kept = self._with_extra(values, before.more)
            said = sent(kept)
            for name in [name for name in self.frozen if name in said]:
                if said[name] != before.values[name]:
                    raise errors.BadRequest(f"The {name} of a {self.name} cannot be changed.")
            entry = await directory.update(call.path["id"], kept)
            return reply({self.name: self.document(call, entry)})

        return update

    def _with_extra(self, values: DirectoryValues, before: Mapping[str, object]) -> DirectoryValues:
        """Keep the attributes that the API does not know as clients sent them; null takes one away.

        Raises BadRequest where they would be more than a row should hold.
        """
        known = {*self.fixed, *self.shown, "id", "links", "tenant_id"}
        unknown = {name: value for name, value in either(values.more, {}).items() if name not in known}
        extra = {name: value for name, value in {**before, **unknown}.items() if value is not None}
        if len(orjson.dumps(extra)) > MOST_EXTRA:
            raise errors.BadRequest(
                f"Attributes that this API does not define may have {MOST_EXTRA} bytes in all; send fewer of them."
            )
        said = {name: _kept(name, value) for name, value in sent(values).items() if name != "more"}
        return attrs.evolve(values, **said, more=extra)

    async def list(self, call: Call[Identity]) -> web.Response:
        """List what equals the filters of the query."""
        asked = _asked(self, call)
        # The database narrows by what it can compare; the rest is compared with what clients are shown.
        has = call.service.directory.has
        compared = [name for name in self.filters if has(self.plural, name) and name in call.query]
        exact = {name: filters.equal_to(name, call.query[name]) for name in compared}
        entries = await call.service.directory.listed(self.plural, exact)
        page, more = asked.page([self.document(call, each) for each in entries])
        return reply(collection(call, self.plural, page, more=more))

    async def show_noun(self, call: Call[Identity]) -> web.Response:
        """Show one by id."""
        key = call.path["id"]
        target = {f"target.{self.name}.id": key}
        try:
            entry = await call.service.directory.by_id(self.plural, key)
        except errors.NotFound:
            # Who may not see it is told the same whether it is there or not.
            call.authorize(call.rule, target)
            raise
        if "name" in entry.values:
            target[f"target.{self.name}.name"] = str(entry.values["name"])
        call.authorize(call.rule, target)
        return reply({self.name: self.document(call, entry)})

    async def delete(self, call: Call[Identity]) -> web.Response:
        """Delete one by id."""
        await call.service.directory.delete(self.plural, call.path["id"])
        return reply(status=204)


def _asked(noun: Noun, call: Call[Identity]) -> filters.Filters:
    """Read what a list is to hold."""
    return filters.read(call.request.query, noun.filters, (*noun.shown, *noun.fixed))


MOST_EXTRA = 65536
"""Bytes of JSON that one thing may hold besides the attributes of the API."""
_SILENT = frozenset({"email", "default_project_id"})
"""Left out of a document that has no value for it."""


def _kept(name: str, value: object) -> object:
    """Return a value as it is kept: an id in small letters."""
    return ids.kept(value) if isinstance(value, str) and (name == "id" or name.endswith("_id")) else value


async def _completed(call: Call[Identity], values: DirectoryValues) -> DirectoryValues:
    """Fill in what a new thing has when its creator does not say. Raises BadRequest for what is named and not there."""
    if isinstance(values, ProjectValues):
        domain = await _domain(call, values.domain_id)
        parent = either(values.parent_id, None) or domain
        if parent != domain:
            await _exists(call, "projects", parent)
        return attrs.evolve(values, domain_id=domain, parent_id=parent)
    if isinstance(values, UserValues):
        domain = await _domain(call, values.domain_id)
        if project := either(values.default_project_id, None):
            await _exists(call, "projects", project)
        return attrs.evolve(values, domain_id=domain)
    if isinstance(values, ServiceValues):
        return attrs.evolve(values, name=either(values.name, ""))
    if isinstance(values, EndpointValues) and values.region is not LEFT_OUT:
        return attrs.evolve(values, region_id=values.region)
    return values


async def _domain(call: Call[Identity], named: str | LeftOut) -> str:
    """Return the domain of a new thing: the caller's own where none is named. Raises BadRequest for an unknown one."""
    domain = either(named, "") or call.context.user_domain_id
    await _exists(call, "domains", domain)
    return domain


async def _exists(call: Call[Identity], kind: DirectoryKind, key: str) -> None:
    try:
        await call.service.directory.by_id(kind, key)
    except errors.NotFound as error:
        raise errors.BadRequest(error.message) from error


DOMAIN = Noun(
    name="domain",
    plural="domains",
    values=DomainValues,
    shown=("name", "description", "enabled"),
    fixed={"tags": [], "options": {}},
    accepts={"name": SHORT_NAME, "description": TEXT, "enabled": FLAG},
    verbs=("create", "list", "show"),
)
TAG = {**NAME, "pattern": r"^[^,/\x00]+$", "description": "a string without commas, slashes and NUL characters"}
PROJECT = Noun(
    name="project",
    plural="projects",
    values=ProjectValues,
    shown=("name", "domain_id", "description", "enabled", "parent_id", "tags"),
    fixed={"is_domain": False, "options": {}},
    accepts={
        "name": SHORT_NAME,
        "domain_id": ID,
        "parent_id": {"anyOf": [ID, {"type": "null"}]},
        "description": TEXT,
        "enabled": FLAG,
        "is_domain": {"const": False},
        "tags": {"type": "array", "maxItems": 80, "uniqueItems": True, "items": TAG},
    },
    frozen=("domain_id", "parent_id"),
    filters=("name", "domain_id", "parent_id"),
)


async def projects_of(call: Call[Identity], user_id: str) -> web.Response:
    """List the projects that a user has a role on, by the filters of all projects."""
    asked = _asked(PROJECT, call)
    entries = await call.service.directory.projects_of(user_id)
    page, more = asked.page([PROJECT.document(call, each) for each in entries])
    return reply(collection(call, PROJECT.plural, page, more=more))


USER = Noun(
    name="user",
    plural="users",
    values=UserValues,
    shown=("name", "domain_id", "description", "enabled", "default_project_id", "email"),
    fixed={"options": {}, "password_expires_at": None},
    accepts={
        "name": NAME,
        "domain_id": ID,
        "default_project_id": {"anyOf": [ID, {"type": "null"}]},
        "description": TEXT,
        "email": {**TEXT, "maxLength": 255},
        "enabled": FLAG,
        "password": {"anyOf": [PASSWORD, {"type": "null"}]},
    },
    frozen=("domain_id",),
    filters=("name", "domain_id", "idp_id", "protocol_id", "unique_id", "password_expires_at"),
)
ROLE = Noun(
    name="role",
    plural="roles",
    values=RoleValues,
    shown=("name", "description"),
    fixed={"domain_id": None, "options": {}},
    accepts={"name": NAME, "description": TEXT, "domain_id": {"type": "null"}},
    filters=("name", "domain_id"),
)
REGION = Noun(
    name="region",
    plural="regions",
    values=RegionValues,
    shown=("description", "parent_region_id"),
    required=(),
    accepts={"id": NAME, "description": TEXT, "parent_region_id": {"anyOf": [NAME, {"type": "null"}]}},
    filters=("parent_region_id",),
    verbs=("create", "list", "show"),
)
SERVICE = Noun(
    name="service",
    plural="services",
    values=ServiceValues,
    shown=("name", "type", "description", "enabled"),
    required=("type",),
    accepts={"name": NAME, "type": NAME, "description": TEXT, "enabled": FLAG},
    filters=("name", "type"),
)
ENDPOINT = Noun(
    name="endpoint",
    plural="endpoints",
    values=EndpointValues,
    shown=("interface", "region_id", "service_id", "url", "enabled"),
    required=("interface", "service_id", "url"),
    accepts={
        "interface": {"enum": ["public", "internal", "admin"]},
        "region_id": {"anyOf": [NAME, {"type": "null"}]},
        "region": NAME,
        "service_id": ID,
        "url": {
            "type": "string",
            "minLength": 1,
            "maxLength": 2048,
            "pattern": r"^https?://[^\s\x00]+$",
            "description": "a URL that begins with http:// or https:// and has no spaces",
        },
        "enabled": FLAG,
    },
    filters=("interface", "service_id", "region_id"),
)

NOUNS = (DOMAIN, PROJECT, USER, ROLE, REGION, SERVICE, ENDPOINT)
routes = tuple(route for noun in NOUNS for route in noun.routes())
