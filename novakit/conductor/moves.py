"""The table of every change of a server's states, collected from the verbs and the reports that make them."""

from collections.abc import Iterator, Mapping, Sequence

from novakit.compute.states import ANY, REQUEST, Move, StatePair
from novakit.conductor.reports import MOVES as REPORTED
from novakit.conductor.verb import AnyVerb
from novakit.conductor.verbs import VERBS

REPORT = "report"
"""What makes a move that no verb makes: the report of a host."""


def table(verbs: Mapping[str, AnyVerb]) -> dict[tuple[str, str], Move]:
    """Return the moves by who makes them and the event."""
    made = {(verb.kind, move.event): move for verb in verbs.values() for move in verb.moves}
    return made | {(REPORT, move.event): move for move in REPORTED}


TABLE: Mapping[tuple[str, str], Move] = table(VERBS)
NEW: frozenset[StatePair] = frozenset(
    (str(move.vm_state), move.task_state)
    for move in TABLE.values()
    if move.event.startswith(REQUEST) and not move.before
)
"""How servers begin: what the requests that begin from no state make of them."""


def living(moves: Sequence[Move]) -> Mapping[str, Sequence[str | None]]:
    """Collect the states that a server can be in before it is deleted: task_states by vm_state."""
    found: dict[str, dict[str | None, None]] = {vm_state: {task_state: None} for vm_state, task_state in NEW}
    for move in moves:
        for vm_state, task_states in move.before.items():
            if vm_state == ANY:
                if move.vm_state not in (None, "deleted"):
                    found.setdefault(str(move.vm_state), {})[move.task_state] = None
                continue
            for task_state in task_states:
                found.setdefault(vm_state, {})[task_state] = None
            found.setdefault(move.vm_state or vm_state, {})[move.task_state] = None
    return {vm_state: tuple(task_states) for vm_state, task_states in found.items()}


LIVING = living(list(TABLE.values()))
"""Every state of a server that is not deleted nor being deleted."""


def pairs(move: Move) -> Iterator[tuple[StatePair, StatePair]]:
    """Yield every change that a move makes, as the state before and the state after."""
    for vm_state in LIVING if ANY in move.before else move.before:
        tasks = move.tasks(vm_state)
        for task_state in LIVING[vm_state] if ANY in tasks else tasks:
            yield (vm_state, task_state), (move.vm_state or vm_state, move.task_state)


def joined(verb: AnyVerb) -> Iterator[tuple[StatePair, StatePair]]:
    """Yield the changes that two moves of a verb are seen as where the first one is written with the second."""
    later = {step.name for step in verb.steps if step.is_written_later}
    for first in (move for move in verb.moves if move.event in later):
        for before, between in pairs(first):
            for second in verb.moves:
                yield from ((before, after) for start, after in pairs(second) if start == between)


PAIRS = frozenset(pair for move in TABLE.values() for pair in pairs(move)) | frozenset(
    pair for verb in VERBS.values() for pair in joined(verb)
)
STATES = frozenset({*NEW, *(state for pair in PAIRS for state in pair)})
