import pytest
from hypothesis import given
from hypothesis import strategies as st

from novakit import errors
from novakit.compute import states
from novakit.conductor import moves
from novakit.conductor.verbs import VERBS

EVENTS = sorted(moves.TABLE)
REQUESTS = [(operation, event) for operation, event in EVENTS if event.startswith(states.REQUEST)]


def after(operation, event, state):
    """Give the state the table moves to, or None where it has no such move."""
    return dict(moves.pairs(moves.TABLE[operation, event])).get(state)


def ends(start, skip=("delete", "report")):
    """Give every state at rest that operations under way can lead to, without the help of a delete or a report."""
    seen, todo = set(), [start]
    while todo:
        state = todo.pop()
        if state in seen:
            continue
        seen.add(state)
        todo += [
            new
            for (operation, event), move in moves.TABLE.items()
            if operation not in skip and not event.startswith(states.REQUEST)
            for old, new in moves.pairs(move)
            if old == state
        ]
    return {state for state in seen if state[1] is None}


def test_each_event_of_a_verb_is_one_move():
    for verb in VERBS.values():
        assert len({move.event for move in verb.moves}) == len(verb.moves), verb.kind


@pytest.mark.parametrize("state", sorted(moves.STATES, key=str))
def test_every_state_has_a_status_and_is_left_for_rest_or_deletion(state):
    vm_state, task_state = state
    assert states.status_of(vm_state, task_state) != "UNKNOWN"
    if state == ("deleted", None):
        assert not [move for move in moves.TABLE.values() if vm_state in move.before]
    elif task_state == "deleting":
        assert after("delete", "forget", state) == ("deleted", None)
    else:
        assert after("delete", states.REQUEST, state) == (vm_state, "deleting")
        assert ends(state)


def test_every_state_is_reached_from_a_new_server():
    reached, todo = set(), [*moves.NEW]
    while todo:
        state = todo.pop()
        if state not in reached:
            reached.add(state)
            todo += [new for old, new in moves.PAIRS if old == state]
    assert reached >= {(vm_state, None) for vm_state, _ in moves.STATES if vm_state != "building"}


@given(st.lists(st.sampled_from(EVENTS), max_size=40))
def test_a_random_walk_never_leaves_the_known_states(events):
    (state,) = moves.NEW
    for operation, event in events:
        state = after(operation, event, state) or state
        assert state in moves.STATES


@given(st.sampled_from(REQUESTS), st.sampled_from(sorted(moves.STATES - {("deleted", None)}, key=str)))
def test_a_request_begins_as_the_table_says_or_is_a_conflict(request, state):
    operation, event = request
    move, wanted = moves.TABLE[request], after(operation, event, state)
    if wanted is None:
        with pytest.raises(errors.Conflict, match=f"Cannot '{operation}' instance x while it is in"):
            states.check(operation, move, "x", *state)
    else:
        states.check(operation, move, "x", *state)
        begun = move.target()
        assert (begun.get("vm_state", state[0]), begun["task_state"]) == wanted


@pytest.mark.parametrize("kind", sorted(kind for kind, verb in VERBS.items() if verb.steps and not verb.tireless))
def test_an_operation_can_fail_at_every_point(kind):
    verb = VERBS[kind]
    undoing = [move for move in verb.moves if move.event.startswith(states.UNDO)]
    undone = {old for move in undoing for old, _ in moves.pairs(move)}
    ways = [move for move in verb.moves if move not in undoing]
    reached = {new for move in ways for _, new in moves.pairs(move) if new[1] is not None}
    assert reached <= undone and undone
