"""Whether a project that a request names exists."""

from novakit import errors
from novakit.api.compute.domain import Compute
from novakit.api.service import Call
from novakit.store.identity import projects


async def require_project(call: Call[Compute], project_id: str) -> None:
    """Raise `BadRequest` for a project that the identity service does not know."""
    if project_id == call.context.project_id:
        return
    try:
        await call.service.identity.directory.show(projects, project_id)
    except errors.NotFound as error:
        raise errors.BadRequest(f"Project ID {project_id} is not a valid project.") from error
