"""Resume: bring a suspended guest back with its memory, where it was."""

from novakit.compute.rules import MEMBER, ActionRule
from novakit.conductor.parts import Parts
from novakit.conductor.steps.power import number, start_wired
from novakit.conductor.verb import Action, Step, Verb, begin_on_host, simple_moves
from novakit.conductor.verbs.suspend import SAVING
from novakit.conductor.work import Commit, Memory, Work
from novakit_hookspecs.virt import Suspends


async def resume(work: Work[Memory], parts: Parts) -> Commit:
    """Wire its ports, which may be gone since the host restarted, and have the host load the guest's memory."""
    return work.moved("resume", power_state=number(await start_wired(work, parts, SAVING)))


RESUME = Verb(
    kind="resume",
    action=Action(name="resume", rule=ActionRule("os_compute_api:os-suspend-server:resume", MEMBER)),
    begin=begin_on_host,
    remembers=Memory,
    needs=Suspends,
    moves=simple_moves(("suspended",), "resuming", "active", "resume"),
    steps=(Step(name="resume", do=resume, shown_as="compute_resume_instance", interruptible=True),),
)
