"""Reset state: an administrator sets a server to active or error, whatever it was; nothing is done on its host.

An operation that is under way finds the state changed at its next step and takes back what it did. The state stays
as it was set, except where the server has no guest then: after a build it is in error with the reason, and after an
offload, or an unshelve before a host had begun to build the guest, one that was called active is shelved again.
An unshelve whose host builds the guest already goes on, and the server has both the guest and the state that was set.
"""

import attrs

from novakit import errors
from novakit.compute.rules import ADMIN, ActionRule
from novakit.compute.states import ANY, REQUEST, Move
from novakit.conductor.steps.snapshots import snapshot_of
from novakit.conductor.verb import Action, Asked, Begun, Verb
from novakit.conductor.work import Memory

_BODY = {
    "type": "object",
    "properties": {"state": {"type": "string", "enum": ["active", "error"]}},
    "required": ["state"],
    "additionalProperties": False,
}


@attrs.frozen(kw_only=True)
class WantedState:
    """What a server is to be."""

    state: str
    """active or error."""


async def begin(asked: Asked) -> Begun[Memory]:
    """Set the state with the request itself. Raises Conflict for active where the server is on no host."""
    host, state = asked.server["host"], asked.given(WantedState).state
    if state == "active" and host is None:
        refused = f"Cannot reset the state of instance {asked.server['id']} to active: it is on no host."
        raise errors.Conflict(f"{refused} {await _advice(asked)}")
    return Begun(memory=Memory(host=host), event=f"{REQUEST} {state}")


async def _advice(asked: Asked) -> str:
    """Return what can be done with a server that is on no host."""
    if await snapshot_of(asked.session, asked.server) is None:
        return "Delete it and create another."
    return "Unshelve it, or delete it and create another."


RESET_STATE = Verb(
    kind="resetState",
    action=Action(
        name="os-resetState",
        rule=ActionRule("os_compute_api:os-admin-actions:reset_state", ADMIN),
        bodies=(((2, 1), _BODY),),
        value=WantedState,
    ),
    begin=begin,
    remembers=Memory,
    needs_host=False,
    locks_out=False,
    moves=tuple(Move(f"{REQUEST} {state}", {ANY: (ANY,)}, state, None) for state in ("active", "error")),
)
