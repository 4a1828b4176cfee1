"""Stop: shut the guest down; its disk and what it claims stay on its host."""

from novakit.compute.rules import MEMBER, ActionRule
from novakit.compute.states import REQUEST, UNDO, Move, when
from novakit.conductor.parts import Parts
from novakit.conductor.steps.power import GRACE, number, set_power
from novakit.conductor.verb import Action, Step, Verb, begin_on_host
from novakit.conductor.work import Commit, Memory, Work
from novakit_hookspecs.servers import Power


async def down(work: Work[Memory], parts: Parts) -> Commit:
    """Ask the guest to shut down, and turn it off after `GRACE` seconds."""
    return work.moved("down", power_state=number(await set_power(work, parts, Power.SHUTDOWN, GRACE)))


_STOPPABLE = ("active", "error")
STOP = Verb(
    kind="stop",
    action=Action(name="os-stop", rule=ActionRule("os_compute_api:servers:stop", MEMBER)),
    begin=begin_on_host,
    remembers=Memory,
    moves=(
        Move(REQUEST, when(_STOPPABLE, None), None, "powering-off"),
        Move("down", when(_STOPPABLE, "powering-off"), "stopped", None),
        Move(UNDO, when(_STOPPABLE, "powering-off"), None, None),
    ),
    steps=(Step(name="down", do=down, shown_as="compute_stop_instance", interruptible=True),),
)
