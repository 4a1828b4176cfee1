"""Logging in, looking at tokens and taking them back."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import attrs
from aiohttp import web

from novakit import errors
from novakit.api import ids
from novakit.api.bodies import Definition
from novakit.api.identity import checks, resources
from novakit.api.service import Call, Route, reply
from novakit.context import Target
from novakit.front.addresses import bucket
from novakit.front.door import client_address
from novakit.identity import Identity
from novakit.identity.directory import SYSTEM
from novakit.identity.service import Grant, Scope

_names: Definition = {
    "id": {"type": "string", "maxLength": 64, **checks.PLAIN},
    "name": {"type": "string", "maxLength": 255, **checks.PLAIN},
}
_reference: Definition = {"type": "object", "properties": _names}
_domain_of_a_name: Definition = {
    "anyOf": [{"required": [name], "properties": {name: {"minLength": 1}}} for name in ("id", "name")]
}


def _owned(what: str, **more: Definition) -> Definition:
    """Describe what is named by its id, or by its name and its domain; `what` names it in refusals."""
    no_domain = f"Expecting to find domain in {what}."
    return {
        "type": "object",
        "required": list(more),
        "properties": {**_names, "domain": _reference, **more},
        "if": {"required": ["id"]},
        "else": {
            "allOf": [
                {"required": ["name"], "says": f"Expecting to find id or name in {what}."},
                {"required": ["domain"], "says": no_domain},
            ],
            "properties": {"domain": {**_domain_of_a_name, "says": no_domain}},
        },
    }


def _shown_by(method: str, **otherwise: Definition) -> Definition:
    """Describe that a proof by one method alone has what it is shown by."""
    return {
        "if": {"properties": {"methods": {"items": {"const": method}}}},
        "then": {"required": [method], "says": f"Expecting to find {method} in identity."},
        **otherwise,
    }


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


_proof: Definition = {
    "type": "object",
    "required": ["methods"],
    "properties": {
        "methods": {"type": "array", "minItems": 1, "maxItems": 8, "items": {"type": "string"}},
        "password": {
            "type": "object",
            "required": ["user"],
            "properties": {"user": _owned("user", password={"type": "string"})},
        },
        "token": {
            "type": "object",
            "required": ["id"],
            "properties": {"id": {"type": "string", "minLength": 1}},
        },
    },
    **_shown_by("password", **{"else": _shown_by("token")}),
}
_whole_system = 'Expecting to find {"all": true} in system.'
_wanted_scope: Definition = {
    "type": ["object", "string"],
    "pattern": r"^unscoped\Z",
    "description": "an object or the string unscoped",
    "maxProperties": 1,
    "properties": {
        "project": _owned("project"),
        "domain": _reference,
        "unscoped": {"type": "object"},
        "system": {
            "type": "object",
            "required": ["all"],
            "properties": {"all": {"type": "boolean", "enum": [True], "says": _whole_system}},
            "says": {"required": _whole_system},
        },
    },
}
_read = checks.body(
    Login,
    {
        "type": "object",
        "required": ["auth"],
        "properties": {
            "auth": {
                "type": "object",
                "required": ["identity"],
                "properties": {"identity": _proof, "scope": _wanted_scope},
            }
        },
    },
)


async def login(call: Call[Identity]) -> web.Response:
    """Return a token for a password, or for another token."""
    auth = _read(await call.json()).auth
    scope, proof = _scope(auth.scope), auth.identity
    methods = set(proof.methods)
    if methods == {"password"} and proof.password is not None:
        text, grant = await _by_password(call.service, proof.password.user, scope)
    elif methods == {"token"} and proof.token is not None:
        text, grant = await call.service.exchange(proof.token.id, scope)
    else:
        raise errors.Unauthorized("Attempted to authenticate with an unsupported method; use password or token.")
    body = await document(call.service, grant, catalog="nocatalog" not in call.query)
    return reply(body, 201, {"X-Subject-Token": text, "Vary": "X-Auth-Token"})


async def _by_password(service: Identity, user: NamedUser, scope: Scope) -> tuple[str, Grant]:
    if user.id is not None:
        return await service.login(
            user_id=ids.kept(user.id), password=user.password, scope=scope, address=bucket(client_address())
        )
    return await service.login(
        user_name=user.name or "",
        user_domain=_domain(user),
        password=user.password,
        scope=scope,
        address=bucket(client_address()),
    )


def _scope(said: str | WantedScope) -> Scope:
    if isinstance(said, str) or said.unscoped is not None:
        return Scope(unscoped=True)
    if said.system is not None:
        return Scope(system=True)
    if said.domain is not None:
        raise errors.Unauthorized("There are no roles on domains here; ask for a project or the system.")
    project = said.project
    if project is None:
        return Scope()
    if project.id is not None:
        return Scope(project_id=ids.kept(project.id))
    return Scope(project_name=project.name, domain=_domain(project))


def _domain(said: NamedInDomain) -> str:
    """Return the id or name of the domain that a name is in."""
    return ids.kept(said.domain.id or "") or said.domain.name or ""


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
        raise errors.BadRequest(
            "The header X-Subject-Token is missing; send the token that the request is about in it."
        )
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
