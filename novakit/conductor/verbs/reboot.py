"""Reboot: shut the guest down and start it again; a hard one does not ask the guest first."""

import attrs

from novakit.compute.rules import MEMBER, ActionRule
from novakit.compute.states import REQUEST, UNDO, Move, but, when
from novakit.conductor.parts import Parts
from novakit.conductor.steps.power import GRACE, number, set_power, start_wired
from novakit.conductor.verb import Action, Asked, Begun, Step, Verb
from novakit.conductor.work import Commit, Memory, Work
from novakit.store.compute import servers
from novakit.store.engine import Session
from novakit_hookspecs.servers import Power

_KINDS = {"type": "string", "enum": ["HARD", "Hard", "hard", "SOFT", "Soft", "soft"]}
_BODY = {"type": "object", "properties": {"type": _KINDS}, "required": ["type"], "additionalProperties": False}


@attrs.frozen(kw_only=True)
class WantedReboot:
    """How a guest is to be rebooted: soft or hard, in any case of letters that a client writes."""

    type: str


@attrs.frozen(kw_only=True)
class Rebooting(Memory):
    """What a reboot remembers."""

    hard: bool = False


async def begin(asked: Asked) -> Begun[Rebooting]:
    """Remember which kind it is; a hard reboot cancels one that is under way, which may wait for the guest."""
    hard = asked.given(WantedReboot).type.upper() == "HARD"
    return Begun(
        memory=Rebooting(host=asked.server["host"], hard=hard),
        event="request hard" if hard else REQUEST,
        cancels=asked.server["task_state"] is not None,
    )


async def down(work: Work[Rebooting], parts: Parts) -> Commit:
    """Ask the guest to shut down, and turn it off after `GRACE` seconds; a hard reboot turns it off at once."""
    power = await set_power(work, parts, Power.SHUTDOWN, 0.0 if work.memory.hard else GRACE)

    async def commit(session: Session) -> None:
        await servers.change(session, work.server_id, power_state=number(power))

    return commit


async def up(work: Work[Rebooting], parts: Parts) -> Commit:
    """Wire its ports and start the guest."""
    return work.moved("up", power_state=number(await start_wired(work, parts)))


_REBOOTING, _HARD = "rebooting", "rebooting_hard"
_DOWN = (*but("active"), "error")
_UNDER_WAY = {"active": (_REBOOTING, _HARD), **when(_DOWN, _HARD)}
REBOOT = Verb(
    kind="reboot",
    action=Action(
        name="reboot",
        rule=ActionRule("os_compute_api:servers:reboot", MEMBER),
        bodies=(((2, 1), _BODY),),
        value=WantedReboot,
    ),
    begin=begin,
    remembers=Rebooting,
    moves=(
        Move(REQUEST, when(("active",), None), None, _REBOOTING),
        Move(
            "request hard",
            {"active": (None, _REBOOTING, _HARD), **when(_DOWN, None, _HARD)},
            None,
            _HARD,
        ),
        Move("up", _UNDER_WAY, "active", None),
        Move(UNDO, _UNDER_WAY, None, None),
    ),
    steps=(
        Step(name="down", do=down, interruptible=True),
        Step(name="up", do=up, shown_as="compute_reboot_instance", interruptible=True),
    ),
)
