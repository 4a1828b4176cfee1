"""Who is asking, and for what project."""

from collections.abc import Iterable

import attrs


def _frozen(roles: Iterable[str]) -> frozenset[str]:
    return frozenset(roles)


@attrs.frozen(kw_only=True)
class RequestContext:
    """The caller of one request, as its token says."""

    request_id: str
    """req-<uuid>, in every answer and log line of the request."""
    user_id: str
    user_name: str = ""
    user_domain_id: str = "default"
    project_id: str | None = None
    """None for an unscoped or system-scoped token."""
    project_name: str = ""
    project_domain_id: str = "default"
    roles: frozenset[str] = attrs.field(factory=frozenset, converter=_frozen)
    """Effective roles: admin implies manager, member and reader."""
    system: bool = False
    """Whether the token is scoped to the whole system."""

    @property
    def is_admin(self) -> bool:
        """Say whether the caller may act on every project."""
        return "admin" in self.roles

    @property
    def is_service(self) -> bool:
        """Say whether the caller is another part of the cloud."""
        return "service" in self.roles
