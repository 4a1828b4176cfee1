"""Identity: logins, tokens and what they allow."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import attrs

from novakit import errors, world
from novakit.context import RequestContext
from novakit.identity import bootstrap, passwords, tokens
from novakit.identity.attempts import Attempts
from novakit.identity.directory import Directory
from novakit.identity.tokens import Keyring, Token
from novakit.identity.values import UserValues
from novakit.store import Session, Store, quota
from novakit.store.identity import directory as table
from novakit.store.identity import tokens as token_rows
from novakit.store.identity.tokens import ProjectOfToken

REFUSED = "The request you have made requires authentication."
STALENESS = 3.0
"""Seconds for which a token that was good is believed without asking the store; changes made here count at once."""
CACHED = 4096
"""Tokens that are remembered as good; the oldest goes first."""
MOST_REVOKED = 10_000
"""Revocations that are kept for one user: tokens cost nothing to make, so a loop could fill the database."""
SERVICE_USER = "novakit"


@attrs.frozen(kw_only=True)
class Scope:
    """What a login asks for: a project, the system, or nothing."""

    project_id: str | None = None
    project_name: str | None = None
    domain: str = ""
    """Id or name of the domain of `project_name`."""
    system: bool = False
    unscoped: bool = False
    """True when the caller wants no scope, not even that of its default project."""

    @property
    def asked(self) -> bool:
        """Return whether a scope was named."""
        return self.system or self.project_id is not None or self.project_name is not None


@attrs.frozen(kw_only=True)
class Grant:
    """A token together with all that it stands for at this moment."""

    token: Token
    user: table.UserOfDomain
    project: ProjectOfToken | None
    roles: Sequence[Mapping[str, str]]
    """Effective roles, `id` and `name`, sorted by name."""

    def asker(self) -> partial[RequestContext]:
        """Return what makes of a request's id who is asking: `asker(request_id=...)`."""
        project = self.project
        return partial(
            RequestContext,
            user_id=self.user["id"],
            user_name=self.user["name"],
            user_domain_id=self.user["domain_id"],
            project_id=project.id if project else None,
            project_name=project.name if project else "",
            project_domain_id=project.domain_id if project else "default",
            roles=frozenset(role["name"] for role in self.roles),
            system=self.token.system,
        )


@attrs.define
class Identity:
    """Who exists, who may do what, and the tokens that prove it."""

    store: Store
    keys: Path
    endpoints: Mapping[str, str]
    """Public URL of each service by its type."""
    region: str = "RegionOne"
    lifetime: float = 3600
    """Seconds for which a login is good."""
    ring: Keyring = attrs.field(init=False)
    directory: Directory = attrs.field(init=False)
    attempts: Attempts = attrs.field(init=False)
    _known: dict[str, tuple[float, Token, partial[RequestContext]]] = attrs.field(factory=dict, init=False)
    _forgot: int = attrs.field(default=0, init=False)
    """How often something changed here: what was read before a change is not kept after it."""

    def __attrs_post_init__(self) -> None:
        self.ring = Keyring(Path(self.keys))
        self.directory = Directory(self.store, self.forget)
        self.attempts = Attempts(self.store)

    @property
    def url(self) -> str:
        """Return the address of the identity API, without a version."""
        return self.endpoints.get("identity", "").rstrip("/").removesuffix("/v3")

    async def bootstrap(
        self, *, admin_password: str | None, demo_password: str | None, moves_endpoints: bool = True
    ) -> None:
        """Make what a cloud starts with: keys, domain, projects, users, roles, catalog; passwords that exist stay.

        None is the password of a user that exists. `moves_endpoints` makes the catalog lead to this process.
        Raises ConfigError for a key file that is empty or cut off.
        """
        self.ring.load()
        await bootstrap.run(
            self.store,
            {"admin": admin_password, "demo": demo_password},
            service_user=SERVICE_USER,
            endpoints=self.endpoints,
            region=self.region,
            moves_endpoints=moves_endpoints,
        )
        self.forget()

    async def user_names(self) -> set[str]:
        """Name the users of the default domain: those whose passwords the database has."""
        return await bootstrap.user_names(self.store)

    async def admin_project_id(self) -> str | None:
        """Return the id of the administrator's own project, or None where there is none any more."""
        async with self.store.read() as session:
            row = await table.project_of(session, name="admin", domain=bootstrap.DOMAIN)
        return str(row["id"]) if row is not None else None

    async def authenticate(self, token: str, request_id: str) -> RequestContext:
        """Return who sent a token. Raises Unauthorized for one that is forged, expired or no longer allowed."""
        known = self._known.get(token)
        if known and world.monotonic() - known[0] < STALENESS and known[1].expires_at > world.now():
            return known[2](request_id=request_id)
        forgot = self._forgot
        grant = await self.validate(token)
        asker = grant.asker()
        if forgot != self._forgot:
            return asker(request_id=request_id)
        self._known.pop(token, None)
        while len(self._known) >= CACHED:
            self._known.pop(next(iter(self._known)))
        self._known[token] = (world.monotonic(), grant.token, asker)
        return asker(request_id=request_id)

    def forget(self) -> None:
        """Forget what is known of tokens, as something has changed; the store is asked again about each."""
        self._forgot += 1
        self._known.clear()

    async def login(
        self,
        *,
        user_id: str | None = None,
        user_name: str = "",
        user_domain: str = "",
        password: str,
        scope: Scope,
        address: str = "",
    ) -> tuple[str, Grant]:
        """Log in with a password from a client's address.

        Raises Unauthorized without saying what was wrong, and TooMany after too many wrong passwords.
        """
        async with self.store.read() as session:
            # Whether the user exists or not: a domain has two names, under which nobody counts apart.
            domain = user_domain if user_id else await table.domain_of(session, user_domain) or user_domain
            user = await table.user_of(session, key=user_id, name=user_name, domain=domain)
        await self._require_password(user, user_id or f"{user_name}@{domain}", password, address)
        assert user is not None
        return await self._issue(user, scope, default=user["default_project_id"])

    async def _require_password(self, user: table.UserOfDomain | None, asked: str, password: str, address: str) -> None:
        """Compare a password, and count it where it is wrong. Raises Unauthorized, TooMany.

        A user that does not exist is counted by the name that was asked for, in its domain however that was named, so
        that nobody learns who does.
        """
        async with self.attempts.turn(str(user["id"]) if user else asked, address) as turn:
            right = await passwords.matches(password, user["password_hash"] if user else None)
            if user is None or not right:
                await turn.wrong()
                raise errors.Unauthorized(REFUSED)
            await turn.right()

    async def exchange(self, text: str, scope: Scope) -> tuple[str, Grant]:
        """Turn a token into one of another scope, which ends no later. Raises Unauthorized where that is refused."""
        grant = await self.validate(text)
        return await self._issue(grant.user, scope, parent=grant.token)

    async def _issue(
        self, user: table.UserOfDomain, scope: Scope, *, parent: Token | None = None, default: str | None = None
    ) -> tuple[str, Grant]:
        methods = ("password",) if parent is None else tuple(dict.fromkeys((*parent.methods, "token")))
        async with self.store.read() as session:
            project_id = await _project(session, scope)
            token = tokens.fresh(
                user["id"],
                lifetime=self.lifetime,
                valid_from=user["tokens_valid_from"],
                parent=parent,
                project_id=project_id,
                system=scope.system,
                methods=methods,
            )
            if default and not scope.asked and not scope.unscoped:
                try:
                    better = attrs.evolve(token, project_id=default)
                    return self.ring.write(better), await _granted(session, better)
                except errors.Unauthorized:
                    pass
            return self.ring.write(token), await _granted(session, token)

    async def validate(self, text: str) -> Grant:
        """Say all that a token stands for now. Raises Unauthorized where it stands for nothing."""
        token = self.ring.read(text)
        async with self.store.read() as session:
            return await _granted(session, token)

    async def revoke(self, text: str) -> None:
        """Refuse a token from now on."""
        token = self.ring.read(text)
        async with self.store.write() as session:
            await quota.hold(session, "revocations", [token.user_id])
            if quota.exceeds(MOST_REVOKED, await token_rows.revoked_of(session, token.user_id)):
                raise errors.TooMany(
                    f"{MOST_REVOKED} tokens of this user were revoked in one day, and this one was not; set a new"
                    " password to end all of them, or let it expire.",
                    headers={"Retry-After": str(int(self.lifetime))},
                )
            session.after_commit(self.forget)
            await token_rows.revoke(session, token.audit_ids[0], token.expires_at, token.user_id)

    async def require_project(self, project_id: str) -> None:
        """Raise `BadRequest` for a project that does not exist."""
        try:
            await self.directory.by_id("projects", project_id)
        except errors.NotFound as error:
            raise errors.BadRequest(f"Project ID {project_id[:64]} is not a valid project.") from error

    async def change_password(self, user_id: str, *, original: str, password: str, address: str = "") -> None:
        """Give a user a new password, which ends its tokens.

        Raises Unauthorized where the original is wrong, and TooMany after too many of those.
        """
        async with self.store.read() as session:
            user = await table.user_of(session, key=user_id)
        await self._require_password(user, user_id, original, address)
        await self.directory.update(user_id, UserValues(password=password))

    async def catalog(self, project_id: str | None) -> list[dict[str, object]]:
        """Return the catalog as a token shows it; endpoints that need a project are left out where there is none."""
        async with self.store.read() as session:
            rows = await table.catalog(session)
        services: dict[str, dict[str, Any]] = {}
        for row in rows:
            service = services.setdefault(
                row["service_id"], {"id": row["service_id"], "type": row["type"], "name": row["name"], "endpoints": []}
            )
            url = substituted(row["url"], project_id)
            if url is not None:
                service["endpoints"].append(
                    {
                        "id": row["id"],
                        "interface": row["interface"],
                        "region_id": row["region_id"],
                        "region": row["region_id"],
                        "url": url,
                    }
                )
        return list(services.values())


def substituted(url: str, project_id: str | None) -> str | None:
    """Fill a project into an endpoint's URL; None where it needs one and there is none."""
    for name in ("project_id", "tenant_id"):
        for mark in (f"$({name})s", f"%({name})s"):
            if mark in url:
                if project_id is None:
                    return None
                url = url.replace(mark, project_id)
    return url


async def _project(session: Session, scope: Scope) -> str | None:
    if scope.project_id is None and scope.project_name is None:
        return None
    project = await table.project_of(session, key=scope.project_id, name=scope.project_name or "", domain=scope.domain)
    if project is None:
        raise errors.Unauthorized(REFUSED)
    return str(project["id"])


async def _granted(session: Session, token: Token) -> Grant:
    """Return what a token stands for now.

    Raises Unauthorized where it was revoked, or its user, project or roles are gone or disabled.
    """
    target = table.SYSTEM if token.system else token.project_id
    found = await token_rows.standing(
        session, token.user_id, project_id=token.project_id, target_id=target, audit_ids=token.audit_ids
    )
    if found is None or not (found.user["enabled"] and found.user["domain_enabled"]):
        raise errors.Unauthorized(REFUSED)
    if token.issued_at < found.user["tokens_valid_from"] or found.is_revoked:
        raise errors.Unauthorized("The token was revoked; log in for a new one.")
    project = found.project
    if token.project_id is not None and not (project and project.enabled):
        raise errors.Unauthorized(REFUSED)
    roles = _effective(found)
    if not roles and target is not None:
        raise errors.Unauthorized(REFUSED)
    return Grant(token=token, user=found.user, project=project, roles=roles)


def _effective(found: token_rows.Standing) -> list[dict[str, str]]:
    """Return the roles that are assigned, with all that they imply."""
    every = closure(found.roles, found.implied)
    return sorted(({"id": key, "name": found.role_names[key]} for key in every), key=lambda role: role["name"])


def closure(direct: Sequence[str], implies: Mapping[str, Sequence[str]]) -> set[str]:
    """Return the roles with all that they imply."""
    found: set[str] = set()
    waiting = list(direct)
    while waiting:
        role = waiting.pop()
        if role not in found:
            found.add(role)
            waiting.extend(implies.get(role, ()))
    return found
