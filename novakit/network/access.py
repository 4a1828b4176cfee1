"""Who may see and do what on the network."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from novakit.context import RequestContext
from novakit.network.refusals import forbidden, not_found
from novakit.store.engine import Row, Session
from novakit.store.network import rows
from novakit.store.network.networks import networks


def project_of(context: RequestContext, values: Mapping[str, Any]) -> str:
    """Say to which project a new thing belongs: the caller's, or any for an admin."""
    asked = values.get("project_id") or context.project_id or ""
    if not asked:
        raise forbidden("Creating something that belongs to no project")
    if asked != context.project_id and not context.is_admin:
        raise forbidden("Creating something for another project")
    return str(asked)


def owns(context: RequestContext, row: Mapping[Any, Any]) -> bool:
    """Say whether a thing is the caller's, or the caller an admin."""
    return context.is_admin or (bool(context.project_id) and row["project_id"] == context.project_id)


def own_rows(context: RequestContext, table: sa.Table) -> list[sa.ColumnElement[bool]]:
    """Make the condition that keeps to what the caller owns."""
    return [] if context.is_admin else [table.c.project_id == (context.project_id or "-")]


def visible_networks(context: RequestContext) -> list[sa.ColumnElement[bool]]:
    """Make the condition that keeps to networks the caller may use: own, shared and external ones."""
    own = own_rows(context, networks)
    return [own[0] | networks.c.shared | networks.c.external] if own else []


async def the_network(session: Session, context: RequestContext, key: str, *, lock: bool = False) -> Row:
    """Fetch a network the caller may use; raise `NetworkNotFound` otherwise."""
    found = await (rows.lock if lock else rows.find)(session, networks, id=key)
    if not found or not (owns(context, found[0]) or found[0]["shared"] or found[0]["external"]):
        raise not_found("network", key)
    return found[0]


async def the_own(session: Session, context: RequestContext, table: sa.Table, what: str, key: str) -> Row:
    """Fetch a thing that the caller owns and keep other writers off it; others' things are not found."""
    found = await rows.lock(session, table, id=key)
    if not found or not owns(context, found[0]):
        raise not_found(what, key)
    return found[0]
