"""Lock: keep ordinary users from changing a server; an administrator's lock keeps its owner away too."""

from novakit.conductor.verb import Action, Asked, Begun, Verb
from novakit.conductor.work import Memory

_REASON = {
    "type": ["object", "null"],
    "properties": {"locked_reason": {"type": "string", "minLength": 1, "maxLength": 255}},
    "additionalProperties": False,
}


async def begin(asked: Asked) -> Begun[Memory]:
    """Lock the server with the request itself; nothing is left to be done."""
    context, server = asked.context, asked.server
    by = "admin" if context.is_admin else "owner"
    reason = (asked.value or {}).get("locked_reason") if asked.version >= (2, 73) else None
    return Begun(memory=Memory(host=server["host"]), values={"locked_by": by, "locked_reason": reason})


LOCK = Verb(
    kind="lock",
    action=Action(name="lock", rule="os_compute_api:os-lock-server:lock", bodies=(((2, 1), {}), ((2, 73), _REASON))),
    begin=begin,
    remembers=Memory,
    needs_host=False,
    locks_out=False,
    moves=(),
)
