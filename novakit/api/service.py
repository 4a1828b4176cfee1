"""One OpenStack service over HTTP: its routes, its errors, its versions, and who may come in.

The idea: a service is a table of routes and an error shape, and one middleware does what each request needs, in this
order: is it well-formed, who asks, which version, which route of that version, may they, and then the handler.
The invariant: no handler runs before the rule of its route is met, nor, but for public routes, before the caller is
known. Every refusal is in the service's shape; every answer names its request and its version and is counted.
The cost: 0.2 ms from the client's call to its 404, aiohttp's client and server included.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Generic, TypeVar

import attrs
import orjson
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler as AiohttpHandler
from aiohttp.typedefs import Middleware

from novakit import errors, tracing, world
from novakit.api import ids
from novakit.api.answer import DocumentAnswer
from novakit.api.documents import Document
from novakit.api.entrance import Authenticate, Entrance
from novakit.api.places import LatePath, places, require_own_project
from novakit.api.reading import STRANGERS_BODY, has_left, parse, read_body, require_sound
from novakit.context import RequestContext, Target
from novakit.front.sharing import Cost, Shares
from novakit.monitoring.tallies import RequestTally
from novakit.policy import Policy, PolicyFile, PolicyRule, refused

S = TypeVar("S")
Version = tuple[int, int]
log = structlog.get_logger(__name__)

MOST_OF_A_VERSION = 32
"""Characters of a version that anybody could mean."""
Explain = Callable[[BaseException], errors.NovakitError | None]
"""Says what a client is told of an error from below the domain; None for one that nobody expected."""
_EXPECTED = (501, 503, 507)
"""Statuses from 500 on that are no fault of the program."""


@attrs.frozen(kw_only=True)
class Microversions:
    """The window of versions a service speaks and the headers in which it is asked for."""

    service: str
    """As in `OpenStack-API-Version: compute 2.1`."""
    minimum: Version
    maximum: Version
    legacy_header: str | None = None
    vary: str = "OpenStack-API-Version"
    """The header that answers depend on, spelled as this service's clients know it."""
    pattern: str = r"([1-9]\d*)\.([1-9]\d*|0)"
    outside: str = "Version {} is not supported by the API. Minimum is {} and maximum is {}."
    malformed: str = "API Version String {} is of invalid format. Must be of format MajorNum.MinorNum."

    def negotiate(self, headers: Mapping[str, str]) -> Version:
        """Choose the version of one request. Raises NotAcceptable outside the window, BadRequest for nonsense."""
        asked = self._asked(headers)
        if asked is None:
            return self.minimum
        if asked == "latest":
            return self.maximum
        version = _read_version(self.pattern, asked) if len(asked) <= MOST_OF_A_VERSION else None
        if version is None:
            raise errors.BadRequest(self.malformed.format(asked[:MOST_OF_A_VERSION]), kind="badRequest")
        if not self.minimum <= version <= self.maximum:
            raise errors.NotAcceptable(
                self.outside.format(asked, text(self.minimum), text(self.maximum)),
                headers=self.headers(version),
            )
        return version

    def _asked(self, headers: Mapping[str, str]) -> str | None:
        for item in headers.get("OpenStack-API-Version", "").split(","):
            words = item.split()
            if len(words) == 2 and words[0].lower() == self.service:
                return words[1]
        if self.legacy_header and (old := headers.get(self.legacy_header)):
            return old.strip()
        return None

    def headers(self, version: Version) -> dict[str, str]:
        """Say in an answer which version it is of."""
        number = text(version)
        said = {"OpenStack-API-Version": f"{self.service} {number}"}
        if self.legacy_header:
            said[self.legacy_header] = number
        return said


@lru_cache(maxsize=256)
def _read_version(pattern: str, text: str) -> Version | None:
    """Read a version that is written as a service writes it; every request names one of a few."""
    match = re.fullmatch(pattern, text, re.ASCII)
    return (int(match[1]), int(match[2])) if match else None


def text(version: Version) -> str:
    """Write a version as clients read it: 2.100."""
    return f"{version[0]}.{version[1]}"


@attrs.define
class Call(Generic[S]):
    """One request on its way to its handler."""

    request: web.Request
    service: S
    """The domain object behind this API."""
    request_id: str
    version: Version
    policy: Policy
    rule: str
    """The rule that the route asked; empty for a public route and where the body says what is to be done."""
    _context: RequestContext | None
    _raw: bytes | None = None

    def allows(self, rule: str, target: Target | None = None) -> bool:
        """Return whether the caller may do what a rule is about to `target`; without one, to a thing of its own."""
        return self.policy.allows(self.context, rule, target)

    def authorize(self, rule: str, target: Target | None = None) -> None:
        """Go on only if the caller may do this to `target`. Raises Forbidden in this service's words.

        The rule of the route was asked already, about a thing of the caller's own: a handler asks once it knows whose
        thing it is, and for rules beside that of the route.
        """
        if not self.policy.allows(self.context, rule, target):
            raise self.policy.refusal(rule)

    @property
    def context(self) -> RequestContext:
        """Return who is asking. Raises Unauthorized for nobody."""
        if self._context is None:
            raise errors.Unauthorized("This call needs a token; send it as X-Auth-Token.")
        return self._context

    @property
    def path(self) -> Mapping[str, str]:
        """Return the variable parts of the path, decoded, with ids as they are kept."""
        return {
            name: ids.kept(part) if name in ids.IN_PATHS else part for name, part in self.request.match_info.items()
        }

    @property
    def query(self) -> Mapping[str, str]:
        """Return the query parameters; of repeated ones the first."""
        return self.request.query

    async def raw(self) -> bytes:
        """Read the body, however often; a client without a token may send less. Raises TooLarge, BadRequest."""
        if self._raw is None:
            most = self.request.client_max_size
            self._raw = await read_body(self.request, most if self._context else min(STRANGERS_BODY, most))
        return self._raw

    async def json(self) -> dict[str, object]:
        """Read the body as a JSON object. Raises BadRequest for anything else."""
        try:
            body = parse(await self.raw())
        except orjson.JSONDecodeError as error:
            raise errors.BadRequest(f"The body is not JSON: {error}. Send one JSON object.") from error
        if not isinstance(body, dict):
            raise errors.BadRequest("The body must be a JSON object.")
        return body


Handler = Callable[[Call[Any]], Awaitable[web.StreamResponse]]


@attrs.frozen(kw_only=True)
class Route:
    """One operation: what answers it, in which versions, and whether a token is needed."""

    method: str
    path: str
    handler: Handler
    since: Version | None = None
    until: Version | None = None
    """The last version that has it; later ones answer 404."""
    frees: bool = False
    """Whether it may make room, so that it is let through where a full disk keeps everything new out; DELETE is."""
    public: bool = False
    """True for discovery documents and logins."""
    rule: str | None = None
    """The rule of the service's policy that a caller must meet before the handler is called."""
    rules: Mapping[str, str] = {}
    """Instead of `rule` where the body says what is to be done: the rule of each action, which the handler asks."""
    asks_of_things: bool = False
    """Whether the handler asks it of each thing; one that hangs on more than whose that is, only the handler asks."""
    cost: Cost = Cost.ORDINARY
    """Which share of the process it takes from."""


@attrs.frozen
class _PathRoutes:
    """The routes of one place, one of which answers in a version."""

    routes: Sequence[Route]
    first: bool = False
    """Whether the first version is meant, whatever a client asks for."""
    public: bool = attrs.field(init=False)
    """Whether one of them needs no token."""
    cost: Cost = attrs.field(init=False)

    @public.default
    def _is_any_public(self) -> bool:
        return any(route.public for route in self.routes)

    @cost.default
    def _cost_of_first(self) -> Cost:
        return self.routes[0].cost if self.routes else Cost.ORDINARY


_NOTHING = _PathRoutes(())


MOMENTS = orjson.OPT_UTC_Z | orjson.OPT_OMIT_MICROSECONDS
"""How a moment in a document is written: 2026-11-29T22:15:01Z."""


def reply(body: object = None, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Answer with a JSON document, or with no body at all; moments in it are written to the second."""
    if body is None:
        return web.Response(status=status, headers=headers)
    return DocumentAnswer(
        body=orjson.dumps(body, option=MOMENTS), status=status, headers=headers, content_type="application/json"
    )


ErrorShape = Callable[[errors.NovakitError, str], dict[str, object]]
"""Turns an error and the request id into the body this service's clients expect."""


@attrs.frozen(kw_only=True)
class Service(Generic[S]):
    """An OpenStack service: a route table, an error shape, a window of versions."""

    name: str
    routes: Sequence[Route]
    shape: ErrorShape
    policies: Mapping[str, PolicyRule] = {}
    """The policy table: every rule that a route or a handler asks, with its public name and default."""
    told: frozenset[str] = frozenset()
    """What its rules are told of things beside what rules of every service are."""
    admin: str = "context_is_admin"
    """The rule by which a caller is an administrator of this service."""
    denied: Callable[[str], errors.Forbidden] = refused
    """Says in this service's words that a rule is not met."""
    microversions: Microversions | None = None
    request_id_headers: Sequence[str] = ("x-openstack-request-id",)
    shape_by_version: Callable[[errors.NovakitError, str, Version | None], Document] | None = None
    """Used instead of `shape` where the error body depends on the version; None when no version could be agreed."""
    first_version_at: tuple[str, str] | None = None
    """A prefix under which the routes of another one answer at the first version, whatever a client asks for."""
    project_below: Sequence[str] = ()
    """Prefixes below which the caller's project may stand before the rest of a path, as old catalogs have it."""
    page: Callable[[errors.NovakitError, str], str | None] | None = None
    """Gives an error as HTML for an Accept header that wants it; None where the client gets JSON like everybody."""

    def policy(self, file: PolicyFile | None = None) -> Policy:
        """Make the policy of this service: its table, and what an operator's file says otherwise."""
        return Policy(self.name, self.policies, file or PolicyFile(), admin=self.admin, refusal=self.denied)

    def app(
        self,
        service: S,
        authenticate: Authenticate,
        *,
        auth_url: str = "",
        requests: RequestTally | None = None,
        policy_file: PolicyFile | None = None,
        shares: Shares | None = None,
        admit: Callable[[], None] | None = None,
        explain: Explain = lambda error: None,
    ) -> web.Application:
        """Build the application to be mounted under the service's prefix.

        What it answers is counted in `requests`; services that are given the same `shares` share the process fairly.
        `admit` raises where nothing new may be made now; `explain` says what became of a database or a disk.
        """
        policy = self.policy(policy_file)
        by_place: dict[tuple[str, str], list[Route]] = {}
        for route in self.routes:
            by_place.setdefault((route.method, route.path), []).append(route)
        choices: dict[object, _PathRoutes] = {}
        entrance = Entrance(authenticate, shares or Shares(), admit)
        middleware = self._middleware(service, choices, entrance, auth_url, policy, explain, requests)
        app = web.Application(middlewares=[middleware])
        last = ""
        for (method, path), routes in by_place.items():
            for place, first in places(path, self.first_version_at, self.project_below):
                # The router adds a route to the resource that was registered last, where its path is the same.
                if place != last and LatePath.suits(place):
                    app.router.register_resource(LatePath(place))
                last = place
                added = app.router.add_route(method, place, _placeholder())
                choices[added.handler] = _PathRoutes(routes, first=first)
        return app

    def _middleware(
        self,
        service: S,
        choices: "Mapping[object, _PathRoutes]",
        entrance: Entrance,
        auth_url: str,
        policy: Policy,
        explain: Explain,
        requests: RequestTally | None,
    ) -> Middleware:
        versions = self.microversions

        @web.middleware
        async def middleware(request: web.Request, handler: AiohttpHandler) -> web.StreamResponse:
            request_id, started = f"req-{world.new_id()}", world.monotonic()
            version: Version = versions.minimum if versions else (1, 0)
            agreed: Version | None = None
            try:
                require_sound(request)
                choice = choices.get(request.match_info.handler, _NOTHING)
                routes = choice.routes
                async with entrance.of(request, request_id, public=choice.public, cost=choice.cost) as context:
                    if versions:
                        version = agreed = versions.minimum if choice.first else versions.negotiate(request.headers)
                    if routes:
                        route = _choose(routes, version)
                        if context is not None:
                            require_own_project(request, context.project_id)
                            context = policy.admitted(context)
                        call = Call(request, service, request_id, version, policy, route.rule or "", context)
                        if route.rule is not None and not (route.asks_of_things and policy.hangs_on_more(route.rule)):
                            call.authorize(route.rule)
                        if entrance.admit is not None and _makes(request.method, route):
                            entrance.admit()
                        tracer = tracing.tracer()
                        answer: web.StreamResponse = await (
                            route.handler(call) if tracer is None else self._traced(tracer, route.handler, call)
                        )
                    else:
                        answer = await handler(request)
            except web.HTTPException as error:
                answer = self._refusal(request, _translated(error, request), request_id, auth_url, agreed)
            except errors.NovakitError as error:
                if error.status >= 500 and error.status not in _EXPECTED:
                    log.error("request failed", service=self.name, request_id=request_id, exc_info=error)
                answer = self._refusal(request, error, request_id, auth_url, agreed)
            except Exception as error:
                if isinstance(error, ConnectionError) and has_left(request):
                    raise
                told = self._fault(error, explain(error), request_id)
                answer = self._refusal(request, told, request_id, auth_url, agreed)
            if not answer.prepared:
                self._name(answer, request_id, version)
            if requests is not None:
                requests.note(self.name, request.method, answer.status, world.monotonic() - started)
            return answer

        return middleware

    def _name(self, answer: web.StreamResponse, request_id: str, version: Version) -> None:
        """Say in the headers of an answer which request it belongs to, and which version it is of."""
        headers = answer.headers
        for name in self.request_id_headers:
            headers[name] = request_id
        if versions := self.microversions:
            for name, value in versions.headers(version).items():
                headers.setdefault(name, value)
            headers.add("Vary", versions.vary)
            if versions.legacy_header:
                headers.add("Vary", versions.legacy_header)

    def _fault(self, error: Exception, fault: errors.NovakitError | None, request_id: str) -> errors.NovakitError:
        """Log an error that nobody expected, and say what the client is told of it."""
        if fault is not None:
            log.warning("a request was put off", service=self.name, request_id=request_id, why=fault.message)
            return fault
        log.error("request failed", service=self.name, request_id=request_id, exc_info=error)
        said = f"An unexpected error occurred; tell the operator {request_id}, under which the log says why."
        return errors.NovakitError(said)

    async def _traced(self, tracer: tracing.Tracer, handler: Handler, call: Call[Any]) -> web.StreamResponse:
        """Answer within a span that hangs below the client's, where there is one."""
        resource = call.request.match_info.route.resource
        place = resource.canonical if resource else call.request.path
        facts = {"http__request__method": call.request.method, "novakit__request_id": call.request_id}
        above = tracing.of_headers(call.request.headers)
        with tracing.within(tracer, f"{self.name} {call.request.method} {place}", above, **facts) as span:
            try:
                answer = await handler(call)
            except errors.NovakitError as error:
                tracing.note(span, http__response__status_code=int(error.status))
                if error.status >= 500:
                    raise
                refused = error
            else:
                tracing.note(span, http__response__status_code=answer.status)
                return answer
        raise refused

    def _refusal(
        self, request: web.Request, error: errors.NovakitError, request_id: str, auth_url: str, agreed: Version | None
    ) -> web.Response:
        page = self.page(error, request.headers.get("Accept", "")) if self.page else None
        if page is not None:
            answer = web.Response(text=page, status=int(error.status), headers=error.headers, content_type="text/html")
        else:
            by_version = self.shape_by_version
            shaped = by_version(error, request_id, agreed) if by_version else self.shape(error, request_id)
            answer = reply(shaped, int(error.status), error.headers)
        if error.status == 401:
            answer.headers["WWW-Authenticate"] = f'Keystone uri="{auth_url}"'
        return answer


def _makes(method: str, route: Route) -> bool:
    """Return whether a request may make something; a login makes nothing."""
    return method in ("POST", "PUT", "PATCH") and not (route.frees or route.public)


def _choose(routes: Sequence[Route], version: Version) -> Route:
    for route in routes:
        if (route.since is None or version >= route.since) and (route.until is None or version <= route.until):
            return route
    raise errors.NotFound("The resource could not be found in this API version.")


def _placeholder() -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def replaced(request: web.Request) -> web.StreamResponse:
        raise AssertionError(f"the middleware answers {request.path}")

    return replaced


def _translated(error: web.HTTPException, request: web.Request) -> errors.NovakitError:
    match error.status:
        case 404:
            return errors.NotFound(f"The resource could not be found. There is nothing at {request.path}.")
        case 405:
            allowed = ", ".join(error.headers.get("Allow", "").replace(" ", "").split(","))
            return errors.MethodNotAllowed(
                f"The method {request.method} is not allowed for this resource. {allowed} is.",
                headers={"Allow": allowed},
            )
        case 413:
            return errors.TooLarge("The body is larger than this service accepts.")
    return errors.BadRequest(error.reason or "Bad request.")
