"""Who may see and do what on the network."""

from collections.abc import Mapping
from typing import TypeVar

from novakit.context import RequestContext
from novakit.left_out import LeftOut
from novakit.network.refusals import forbidden, not_found
from novakit.store.engine import Session
from novakit.store.network import rows
from novakit.store.network.networks import StoredNetwork
from novakit.store.network.rows import StoredResource

R = TypeVar("R", bound=StoredResource)


def project_of(context: RequestContext, asked: str | LeftOut | None) -> str:
    """Say to which project a new thing belongs: the caller's, or any for an admin. Raises Forbidden."""
    project = asked or context.project_id or ""
    if not project:
        raise forbidden("Creating a resource without a project")
    if project != context.project_id and not context.is_admin:
        raise forbidden("Creating a resource for another project")
    return project


def owns(context: RequestContext, row: StoredResource) -> bool:
    """Return whether a thing is the caller's, or the caller an admin."""
    return context.is_admin or (bool(context.project_id) and row.project_id == context.project_id)


def reach(context: RequestContext) -> str | None:
    """Name the project whose things the caller sees; None for an admin, who sees everybody's."""
    return None if context.is_admin else context.project_id or "-"


def plain(value: object) -> str | bool | None:
    """Return an attribute as the checks of rules read it: what is no text and no flag as Python writes it."""
    return value if value is None or isinstance(value, str | bool) else str(value)


def described(one: str, many: str, attributes: Mapping[str, object]) -> dict[str, str | bool | None]:
    """Describe a thing by its kind, as in `%(network:project_id)s` and `field:networks:shared=True`."""
    return {f"{kind}:{name}": plain(value) for kind in (one, many) for name, value in attributes.items()}


async def the_network(session: Session, context: RequestContext, key: str, *, lock: bool = False) -> StoredNetwork:
    """Fetch a network the caller may use. Raises NotFound (NetworkNotFound)."""
    found = await (rows.lock if lock else rows.find)(session, StoredNetwork, id=key)
    if not found or not (owns(context, found[0]) or found[0].shared or found[0].external):
        raise not_found("network", key)
    return found[0]


async def the_own(session: Session, context: RequestContext, kind: type[R], what: str, key: str) -> R:
    """Fetch a thing that the caller owns and keep other writers off it; others' things are not found."""
    found = await rows.lock(session, kind, id=key)
    if not found or not owns(context, found[0]):
        raise not_found(what, key)
    return found[0]
