"""Lock: keep ordinary users from changing a server; an administrator's lock keeps its owner away too."""

import attrs

from novakit.compute.rules import MEMBER, ActionRule
from novakit.conductor.verb import NOT_READ, Action, Asked, Begun, Verb
from novakit.conductor.work import Memory

_REASON = {
    "type": ["object", "null"],
    "properties": {"locked_reason": {"type": "string", "minLength": 1, "maxLength": 255}},
    "additionalProperties": False,
}


@attrs.frozen(kw_only=True)
class Locking:
    """What is said of a lock."""

    locked_reason: str | None = None


async def begin(asked: Asked) -> Begun[Memory] | None:
    """Lock the server with the request itself. Only an administrator changes anything about a lock that is there.

    Otherwise a member could make an administrator's lock his own, and take it off.
    """
    context, server = asked.context, asked.server
    if server["locked_by"] is not None and not context.is_admin:
        return None
    by = "admin" if context.is_admin else "owner"
    reason = asked.given(Locking).locked_reason
    return Begun(memory=Memory(host=server["host"]), values={"locked_by": by, "locked_reason": reason})


LOCK = Verb(
    kind="lock",
    action=Action(
        name="lock",
        rule=ActionRule("os_compute_api:os-lock-server:lock", MEMBER),
        bodies=(((2, 1), NOT_READ), ((2, 73), _REASON)),
        value=Locking,
    ),
    begin=begin,
    remembers=Memory,
    needs_host=False,
    locks_out=False,
    moves=(),
)
