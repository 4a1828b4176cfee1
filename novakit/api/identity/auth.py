"""Logging in, looking at tokens and taking them back."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import attrs
from aiohttp import web

from novakit import errors
from novakit.api import ids
from novakit.api.identity import checks, resources
from novakit.api.service import Call, Route, reply
from novakit.context import Target
from novakit.front.addresses import bucket
from novakit.front.door import client_address
from novakit.identity import Identity
from novakit.identity.directory import SYSTEM
from novakit.identity.service import Grant, Scope

_reference = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "maxLength": 64, "pattern": r"^[^\x00]*$"},
        "name": {"type": "string", "maxLength": 255, "pattern": r"^[^\x00]*$"},
    },
}
_owned = {"type": "object", "properties": {**_reference["properties"], "domain": _reference}}  # type: ignore[dict-item]


@attrs.frozen(kw_only=True)
class Named:
    """A thing by its id or its name."""

    id: str | None = None
    name: str | None = None


@attrs.frozen(kw_only=True)
class NamedInDomain(Named):
    """A thing by its id, or by its name and its domain."""

    domain: Named = Named()


@attrs.frozen(kw_only=True)
class NamedUser(NamedInDomain):
    """Who logs in, and the proof of it."""

    password: str = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class PasswordLogin:
    """A login by password."""

    user: NamedUser


@attrs.frozen(kw_only=True)
class TokenLogin:
    """A login by a token that the user has."""

    id: str = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class Proof:
    """How a user shows who it is."""

    methods: Sequence[str]
    password: PasswordLogin | None = None
    token: TokenLogin | None = None


@attrs.frozen(kw_only=True)
class WantedSystem:
    """Whether all of the system is wanted, which is the only part that there is."""

    all: bool = False


@attrs.frozen(kw_only=True)
class WantedScope:
    """What a token is to be for; one of them at most."""

    project: NamedInDomain | None = None
    domain: Named | None = None
    unscoped: Mapping[str, object] | None = None
    system: WantedSystem | None = None


@attrs.frozen(kw_only=True)
class Authentication:
    """Who wants a token, and for what."""

    identity: Proof
    scope: str | WantedScope = WantedScope()
    """A text is `unscoped`."""


@attrs.frozen(kw_only=True)
class Login:
    """The body of POST /auth/tokens."""

    auth: Authentication


_read = checks.body(
    Login,
    {
        "type": "object",
        "required": ["auth"],
        "properties": {
            "auth": {
                "type": "object",
                "required": ["identity"],
                "properties": {
                    "identity": {
                        "type": "object",
                        "required": ["methods"],
                        "properties": {
                            "methods": {"type": "array", "minItems": 1, "maxItems": 8, "items": {"type": "string"}},
                            "password": {
                                "type": "object",
                                "required": ["user"],
                                "properties": {
                                    "user": {
                                        **_owned,
                                        "required": ["password"],
                                        "properties": {**_owned["properties"], "password": {"type": "string"}},  # type: ignore[dict-item]
                                    }
                                },
                            },
                            "token": {
                                "type": "object",
                                "required": ["id"],
                                "properties": {"id": {"type": "string", "minLength": 1}},
                            },
                        },
                    },
                    "scope": {
                        "oneOf": [
                            {"const": "unscoped"},
                            {
                                "type": "object",
                                "maxProperties": 1,
                                "properties": {
                                    "project": _owned,
                                    "domain": _reference,
                                    "unscoped": {"type": "object"},
                                    "system": {"type": "object", "properties": {"all": {"type": "boolean"}}},
                                },
                            },
                        ]
                    },
                },
            }
        },
    },
)


async def login(call: Call[Identity]) -> web.Response:
    """Return a token for a password, or for another token."""
    auth = _read(await call.json()).auth
    scope = _scope(auth.scope)
    match sorted(set(auth.identity.methods)):
        case ["password"]:
            text, grant = await _by_password(call.service, auth.identity.password, scope)
        case ["token"]:
            if auth.identity.token is None:
                raise errors.BadRequest("Expecting to find token in identity.")
            text, grant = await call.service.exchange(auth.identity.token.id, scope)
        case _:
            raise errors.Unauthorized("Attempted to authenticate with an unsupported method; use password or token.")
    body = await document(call.service, grant, catalog="nocatalog" not in call.query)
    return reply(body, 201, {"X-Subject-Token": text, "Vary": "X-Auth-Token"})


async def _by_password(service: Identity, said: PasswordLogin | None, scope: Scope) -> tuple[str, Grant]:
    if said is None:
        raise errors.BadRequest("Expecting to find password in identity.")
    user = said.user
    if user.id is not None:
        return await service.login(
            user_id=ids.kept(user.id), password=user.password, scope=scope, address=bucket(client_address())
        )
    if user.name is None:
        raise errors.BadRequest("Expecting to find id or name in user.")
    return await service.login(
        user_name=user.name,
        user_domain=_domain(user, "user"),
        password=user.password,
        scope=scope,
        address=bucket(client_address()),
    )


def _scope(said: str | WantedScope) -> Scope:
    if isinstance(said, str) or said.unscoped is not None:
        return Scope(unscoped=True)
    if said.system is not None:
        if not said.system.all:
            raise errors.BadRequest('Expecting to find {"all": true} in system.')
        return Scope(system=True)
    if said.domain is not None:
        raise errors.Unauthorized("There are no roles on domains here; ask for a project or the system.")
    project = said.project
    if project is None:
        return Scope()
    if project.id is not None:
        return Scope(project_id=ids.kept(project.id))
    if project.name is None:
        raise errors.BadRequest("Expecting to find id or name in project.")
    return Scope(project_name=project.name, domain=_domain(project, "project"))


def _domain(said: NamedInDomain, what: str) -> str:
    found = ids.kept(said.domain.id or "") or said.domain.name
    if not found:
        raise errors.BadRequest(f"Expecting to find domain in {what}.")
    return found


async def document(service: Identity, grant: Grant, *, catalog: bool) -> dict[str, object]:
    """Write a token's meaning as clients read it."""
    token = grant.token
    said: dict[str, object] = {
        "methods": list(token.methods),
        "user": {
            "domain": {"id": grant.user["domain_id"], "name": grant.user["domain_name"]},
            "id": grant.user["id"],
            "name": grant.user["name"],
            "password_expires_at": None,
        },
        "audit_ids": list(token.audit_ids),
        "expires_at": moment(token.expires_at),
        "issued_at": moment(token.issued_at),
    }
    if grant.project is not None:
        project = grant.project
        said["project"] = {
            "domain": {"id": project.domain_id, "name": project.domain_name},
            "id": project.id,
            "name": project.name,
        }
        said["is_domain"] = False
    if token.system:
        said["system"] = {"all": True}
    if token.system or grant.project is not None:
        said["roles"] = list(grant.roles)
        if catalog:
            said["catalog"] = await service.catalog(token.project_id)
    return {"token": said}


def moment(at: datetime) -> str:
    """Write a moment with microseconds and a Z."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _subject(call: Call[Identity]) -> str:
    subject = call.request.headers.get("X-Subject-Token")
    if not subject:
        raise errors.BadRequest("Name the token that you ask about in X-Subject-Token.")
    return subject


async def _looked_at(call: Call[Identity]) -> Grant:
    text = _subject(call)
    call.authorize(call.rule, _target(call, text))
    try:
        return await call.service.validate(text)
    except errors.Unauthorized as error:
        raise errors.NotFound("Could not find token.") from error


def _target(call: Call[Identity], text: str) -> Target:
    """Return what rules are told of a token: its user, or nothing where it cannot be read."""
    try:
        return {"target.token.user_id": call.service.ring.read(text).user_id}
    except errors.Unauthorized:
        return {}


async def validate(call: Call[Identity]) -> web.Response:
    """Return what the token in X-Subject-Token stands for; HEAD says only whether it does."""
    grant = await _looked_at(call)
    body = await document(call.service, grant, catalog="nocatalog" not in call.query)
    return reply(body, headers={"X-Subject-Token": _subject(call), "Vary": "X-Auth-Token"})


async def revoke(call: Call[Identity]) -> web.Response:
    """End the token in X-Subject-Token."""
    text = _subject(call)
    call.authorize(call.rule, _target(call, text))
    try:
        await call.service.revoke(text)
    except errors.Unauthorized as error:
        raise errors.NotFound("Could not find token.") from error
    return reply(status=204)


async def projects(call: Call[Identity]) -> web.Response:
    """List the projects that the caller can log in to."""
    return await resources.projects_of(call, call.context.user_id)


async def domains(call: Call[Identity]) -> web.Response:
    """List the domains that the caller can log in to: none, since roles are given on projects and the system."""
    return reply(resources.collection(call, "domains", []))


async def system(call: Call[Identity]) -> web.Response:
    """Return whether the caller can log in to the system."""
    roles = await call.service.directory.roles_of(call.context.user_id, SYSTEM)
    return reply(resources.collection(call, "system", [{"all": True}] if roles else []))


async def catalog(call: Call[Identity]) -> web.Response:
    """Return the catalog for the caller's scope."""
    return reply(resources.collection(call, "catalog", await call.service.catalog(call.context.project_id)))


routes = (
    Route(method="POST", path="/v3/auth/tokens", handler=login, public=True),
    Route(method="GET", path="/v3/auth/tokens", handler=validate, rule="identity:validate_token"),
    Route(method="HEAD", path="/v3/auth/tokens", handler=validate, rule="identity:check_token"),
    Route(method="DELETE", path="/v3/auth/tokens", handler=revoke, rule="identity:revoke_token"),
    Route(method="GET", path="/v3/auth/projects", handler=projects, rule="identity:get_auth_projects"),
    Route(method="GET", path="/v3/auth/domains", handler=domains, rule="identity:get_auth_domains"),
    Route(method="GET", path="/v3/auth/system", handler=system, rule="identity:get_auth_system"),
    Route(method="GET", path="/v3/auth/catalog", handler=catalog, rule="identity:get_auth_catalog"),
)
