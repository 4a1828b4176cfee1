"""Unlock: let a server be changed again; the lock of an administrator yields only to who may override locks."""

from novakit import errors
from novakit.compute.rules import ADMIN, MEMBER, ActionRule
from novakit.conductor.verb import Action, Asked, Begun, Verb
from novakit.conductor.work import Memory

OVERRIDE = ActionRule("os_compute_api:os-lock-server:unlock:unlock_override", ADMIN)


async def begin(asked: Asked) -> Begun[Memory]:
    """Unlock the server with the request itself. Raises Forbidden where an administrator locked it."""
    if asked.server["locked_by"] == "admin" and not asked.may(OVERRIDE):
        raise errors.Forbidden(f"Policy doesn't allow {OVERRIDE.name} to be performed.")
    return Begun(memory=Memory(host=asked.server["host"]), values={"locked_by": None, "locked_reason": None})


UNLOCK = Verb(
    kind="unlock",
    action=Action(name="unlock", rule=ActionRule("os_compute_api:os-lock-server:unlock", MEMBER), asks=(OVERRIDE,)),
    begin=begin,
    remembers=Memory,
    needs_host=False,
    locks_out=False,
    moves=(),
)
