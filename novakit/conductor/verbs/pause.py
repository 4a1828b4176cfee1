"""Pause: stop the guest's CPUs; its memory stays on its host, and unpause lets it go on."""

from novakit.compute.rules import MEMBER, ActionRule
from novakit.conductor.parts import Parts
from novakit.conductor.steps.power import number, set_power
from novakit.conductor.verb import Action, Step, Verb, begin_on_host, simple_moves
from novakit.conductor.work import Commit, Memory, Work
from novakit_hookspecs.servers import Power
from novakit_hookspecs.virt import Pauses


async def pause(work: Work[Memory], parts: Parts) -> Commit:
    """Have the host stop the guest's CPUs."""
    return work.moved("pause", power_state=number(await set_power(work, parts, Power.PAUSED)))


PAUSE = Verb(
    kind="pause",
    action=Action(name="pause", rule=ActionRule("os_compute_api:os-pause-server:pause", MEMBER)),
    begin=begin_on_host,
    remembers=Memory,
    needs=Pauses,
    moves=simple_moves(("active",), "pausing", "paused", "pause"),
    steps=(Step(name="pause", do=pause, shown_as="compute_pause_instance", interruptible=True),),
)
