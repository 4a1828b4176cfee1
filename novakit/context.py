"""Who is asking, and for what project."""

from collections.abc import Callable, Iterable, Mapping

import attrs

Target = Mapping[str, str | bool | None]
"""What a call is about: `project_id`, `user_id` and the other names that the rules of a policy have."""


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
    is_admin: bool = attrs.field(default=attrs.Factory(lambda self: "admin" in self.roles, takes_self=True))
    """Whether the caller may act on every project: the role admin, unless a service's policy says otherwise."""
    decide: "Callable[[RequestContext, str, Target], bool] | None" = attrs.field(default=None, eq=False, repr=False)
    """The policy of the service that was called; None for what the cloud does of itself."""

    def may(self, rule: str, target: "Target") -> bool:
        """Return whether the caller may do what a rule is about to a thing that the domain has just found.

        What the cloud does of itself, no policy is asked about.
        """
        return self.decide is None or self.decide(self, rule, target)


SERVICE = RequestContext(request_id="", user_id="novakit", roles=frozenset({"admin", "service"}))
"""Who this cloud's own processes are to its services."""
