"""Unpause: let a paused guest go on where it was."""

from novakit.compute.rules import MEMBER, ActionRule
from novakit.conductor.parts import Parts
from novakit.conductor.steps.power import number, set_power
from novakit.conductor.verb import Action, Step, Verb, begin_on_host, simple_moves
from novakit.conductor.work import Commit, Memory, Work
from novakit_hookspecs.servers import Power
from novakit_hookspecs.virt import Pauses


async def unpause(work: Work[Memory], parts: Parts) -> Commit:
    """Have the host let the guest's CPUs run."""
    return work.moved("unpause", power_state=number(await set_power(work, parts, Power.RUNNING)))


UNPAUSE = Verb(
    kind="unpause",
    action=Action(name="unpause", rule=ActionRule("os_compute_api:os-pause-server:unpause", MEMBER)),
    begin=begin_on_host,
    remembers=Memory,
    needs=Pauses,
    moves=simple_moves(("paused",), "unpausing", "active", "unpause"),
    steps=(Step(name="unpause", do=unpause, shown_as="compute_unpause_instance", interruptible=True),),
)
