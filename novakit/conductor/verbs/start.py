"""Start: bring a guest that is off back up."""

from novakit.compute.rules import MEMBER, ActionRule
from novakit.conductor.parts import Parts
from novakit.conductor.steps.power import number, start_wired
from novakit.conductor.verb import Action, Step, Verb, begin_on_host, simple_moves
from novakit.conductor.work import Commit, Memory, Work


async def up(work: Work[Memory], parts: Parts) -> Commit:
    """Wire its ports and start the guest."""
    return work.moved("up", power_state=number(await start_wired(work, parts)))


START = Verb(
    kind="start",
    action=Action(name="os-start", rule=ActionRule("os_compute_api:servers:start", MEMBER)),
    begin=begin_on_host,
    remembers=Memory,
    moves=simple_moves(("stopped",), "powering-on", "active", "up"),
    steps=(Step(name="up", do=up, shown_as="compute_start_instance", interruptible=True),),
)
