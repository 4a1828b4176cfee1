import pytest
from hypothesis import given
from hypothesis import strategies as st

from novakit import errors
from novakit.compute import states

EVENTS = sorted(states.TABLE)
REQUESTS = [operation for operation, event in EVENTS if event == states.REQUEST]


def after(operation, event, state):
    """Give the state the table moves to, or None where it has no such move."""
    return dict(states.TABLE[operation, event].pairs()).get(state)


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
            for move in states.MOVES
            if move.operation not in skip and move.event != states.REQUEST
            for old, new in move.pairs()
            if old == state
        ]
    return {state for state in seen if state[1] is None}


def test_each_move_is_in_the_table_once():
    assert len(states.TABLE) == len(states.MOVES)


@pytest.mark.parametrize("state", sorted(states.STATES, key=str))
def test_every_state_has_a_status_and_is_left_for_rest_or_deletion(state):
    vm_state, task_state = state
    assert states.status_of(vm_state, task_state) != "UNKNOWN"
    if state == ("deleted", None):
        assert not [move for move in states.MOVES if vm_state in move.before]
    elif task_state == "deleting":
        assert after("delete", "forget", state) == ("deleted", None)
    else:
        assert after("delete", states.REQUEST, state) == (vm_state, "deleting")
        assert ends(state)


def test_every_state_is_reached_from_a_new_server():
    reached, todo = set(), [states.NEW]
    while todo:
        state = todo.pop()
        if state not in reached:
            reached.add(state)
            todo += [new for old, new in states.PAIRS if old == state]
    assert reached >= {(vm_state, None) for vm_state, _ in states.STATES if vm_state != "building"}


@given(st.lists(st.sampled_from(EVENTS), max_size=40))
def test_a_random_walk_never_leaves_the_known_states(events):
    state = states.NEW
    for operation, event in events:
        state = after(operation, event, state) or state
        assert state in states.STATES


@given(st.sampled_from(REQUESTS), st.sampled_from(sorted(states.STATES, key=str)))
def test_a_request_begins_as_the_table_says_or_is_a_conflict(operation, state):
    wanted = after(operation, states.REQUEST, state)
    if wanted is None:
        with pytest.raises(errors.Conflict, match=f"Cannot '{operation.split()[0]}' instance x while it is in"):
            states.begin(operation, "x", *state)
    else:
        begun = states.begin(operation, "x", *state)
        assert (begun.get("vm_state", state[0]), begun["task_state"]) == wanted


@pytest.mark.parametrize("operation", sorted({operation for operation, _ in EVENTS} - {"delete", "report", "create"}))
def test_an_operation_can_fail_at_every_point(operation):
    begun = {new for old, new in states.TABLE[operation, states.REQUEST].pairs()}
    mine = [move for move in states.MOVES if move.operation == operation and move.event != states.REQUEST]
    undone = {old for move in mine if move.event.startswith(states.UNDO) for old, _ in move.pairs()}
    todo = set(begun)
    for move in mine:
        todo |= {new for _, new in move.pairs() if new[1] is not None}
    assert todo <= undone
