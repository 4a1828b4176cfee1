"""The routes of `/novakit`, version 1."""

from http import HTTPStatus

from aiohttp import web

from novakit import errors
from novakit.api import ids
from novakit.api.documents import Document
from novakit.api.novakit import dry_runs, guests, image_files, image_quotas, server_groups, strangers
from novakit.api.novakit.audit import audit
from novakit.api.novakit.domain import Additions
from novakit.api.novakit.policies import RULES
from novakit.api.queries import choice, number, refuse_unknown
from novakit.api.service import Call, Route, Service, reply
from novakit.front.sharing import Cost
from novakit.scheduler.reports import OUTCOMES, DecisionQuery
from novakit_hookspecs.plain import to_plain


def shape(error: errors.NovakitError, request_id: str) -> Document:
    """Write an error as one object with a code, a title and a sentence."""
    status = HTTPStatus(error.status)
    return {"error": {"code": int(status), "title": status.phrase, "message": error.message, "request_id": request_id}}


async def discover(call: Call[Additions]) -> web.Response:
    """Name what is here."""
    return reply({"versions": [{"id": "v1", "status": "CURRENT", "links": [{"rel": "self", "href": "v1/"}]}]})


async def list_decisions(call: Call[Additions]) -> web.Response:
    """List decisions, latest first, by server_id, project_id, outcome, limit and marker."""
    said = {name: ids.kept(call.query[name]) for name in ("server_id", "project_id") if name in call.query}
    if said.get("project_id", call.context.project_id) != call.context.project_id:
        call.authorize("novakit:decisions:list:all_projects")
    refuse_unknown(call.query, ("server_id", "project_id", "outcome", "limit", "marker"))
    wanted = DecisionQuery(
        server_id=said.get("server_id"),
        project_id=said.get("project_id"),
        outcome=choice(call.query, "outcome", OUTCOMES),
        limit=number(call.query, "limit", 100),
        before=number(call.query, "marker"),
    )
    found = await call.service.reports.decisions(call.context, wanted)
    return reply({"decisions": found})


async def show_decision(call: Call[Additions]) -> web.Response:
    """Show one decision."""
    return reply({"decision": await call.service.reports.decision(call.context, call.path["id"])})


async def counts(call: Call[Additions]) -> web.Response:
    """Show the counters of each scheduler and of its filters and weighers."""
    found = [to_plain(one) for one in await call.service.reports.counts(call.context)]
    return reply({"scheduler": found[0], "schedulers": found})


async def trace(call: Call[Additions]) -> web.Response:
    """Return hosts and requests as a trace."""
    return reply({"trace": await call.service.reports.trace(call.context)})


async def plugins(call: Call[Additions]) -> web.Response:
    """Show with which drivers and plugins the service runs."""
    return reply(to_plain(await call.service.reports.about()))


service: Service[Additions] = Service(
    name="novakit",
    routes=(
        Route(method="GET", path="/", handler=discover, public=True),
        Route(method="GET", path="/v1/decisions", handler=list_decisions, rule="novakit:decisions:list"),
        Route(method="GET", path="/v1/decisions/{id}", handler=show_decision, rule="novakit:decisions:show"),
        Route(method="GET", path="/v1/scheduler", handler=counts, rule="novakit:scheduler"),
        Route(method="GET", path="/v1/trace", handler=trace, rule="novakit:trace", cost=Cost.HEAVY),
        Route(method="GET", path="/v1/audit", handler=audit, rule="novakit:audit", cost=Cost.HEAVY),
        *dry_runs.ROUTES,
        Route(method="GET", path="/v1/plugins", handler=plugins, rule="novakit:plugins"),
        *guests.ROUTES,
        *image_files.ROUTES,
        *image_quotas.ROUTES,
        *server_groups.ROUTES,
        *strangers.ROUTES,
    ),
    shape=shape,
    policies=RULES,
)
