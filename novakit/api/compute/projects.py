"""Whether a project that a request names exists."""

from novakit.api.compute.domain import Compute
from novakit.api.service import Call


async def require_project(call: Call[Compute], project_id: str) -> None:
    """Raise `BadRequest` for a project that the identity service does not know."""
    if project_id == call.context.project_id:
        return
    await call.service.identity.require_project(project_id)
