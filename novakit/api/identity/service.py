"""The identity service over HTTP: its routes and its error shape."""

from http import HTTPStatus

from novakit import errors
from novakit.api.identity import assignments, auth, passwords, resources, versions
from novakit.api.identity.policies import RULES
from novakit.api.service import Service
from novakit.identity import Identity


def shape(error: errors.NovakitError, request_id: str) -> dict[str, object]:
    """Write an error as identity clients read it."""
    status = HTTPStatus(error.status)
    return {"error": {"code": int(status), "message": error.message, "title": status.phrase}}


def denied(rule: str) -> errors.Forbidden:
    """Return the refusal that identity clients expect where a rule is not met."""
    return errors.Forbidden(f"You are not authorized to perform the requested action: {rule}.")


service: Service[Identity] = Service(
    name="identity",
    routes=(
        *versions.routes,
        *auth.routes,
        *passwords.routes,
        *assignments.routes,
        *resources.routes,
    ),
    shape=shape,
    policies=RULES,
    admin="admin_required",
    denied=denied,
)
