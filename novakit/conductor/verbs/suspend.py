"""Suspend: keep the guest's memory on its host's disk and end it; resume brings it back where it was."""

from novakit.compute.rules import MEMBER, ActionRule
from novakit.conductor.parts import Parts
from novakit.conductor.steps.power import number, set_power
from novakit.conductor.verb import Action, Step, Verb, begin_on_host, simple_moves
from novakit.conductor.work import Commit, Memory, Work
from novakit_hookspecs.servers import Power
from novakit_hookspecs.virt import Suspends

SAVING = 600.0
"""Seconds a host may take to write a guest's memory, or to read it again: a terabyte at two gigabytes each second."""


async def suspend(work: Work[Memory], parts: Parts) -> Commit:
    """Have the host write the guest's memory to its disk."""
    return work.moved("suspend", power_state=number(await set_power(work, parts, Power.SUSPENDED, SAVING)))


SUSPEND = Verb(
    kind="suspend",
    action=Action(name="suspend", rule=ActionRule("os_compute_api:os-suspend-server:suspend", MEMBER)),
    begin=begin_on_host,
    remembers=Memory,
    needs=Suspends,
    moves=simple_moves(("active",), "suspending", "suspended", "suspend"),
    steps=(Step(name="suspend", do=suspend, shown_as="compute_suspend_instance", interruptible=True),),
)
