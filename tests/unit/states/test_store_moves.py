import pytest

from novakit import world
from novakit.compute.states import Moved, UndefinedMove, move_if
from novakit.conductor import moves
from novakit.conductor.verbs import VERBS
from novakit.store.compute import servers
from tests.support.rows import FLAVOR
from tests.support.stores import sqlite_store


@pytest.fixture
async def store(tmp_path):
    store = await sqlite_store(tmp_path / "states.db")
    yield store
    await store.close()


def new(vm_state, task_state):
    now, key = world.now(), world.new_id()
    row = {"id": key, "project_id": world.new_id(), "user_id": world.new_id(), "name": "s", "hostname": "s"}
    row |= {"vm_state": vm_state, "task_state": task_state, "flavor": FLAVOR, "vcpus": 1, "memory_mb": 1}
    return row | {"reservation_id": "r-1", "created_at": now, "updated_at": now}


async def test_a_move_is_written_from_the_states_of_the_table_and_from_no_other(store):
    rows = {state: new(*state) for state in sorted(moves.STATES, key=str) if state[0] != "deleted"}
    for move in moves.TABLE.values():
        allowed = dict(moves.pairs(move))
        async with store.write() as session:
            for row in rows.values():
                row["id"] = world.new_id()
            await servers.add(session, list(rows.values()))
            for state, row in rows.items():
                moved = await move_if(session, row["id"], move)
                shown = await servers.server(session, row["id"])
                assert moved == (state in allowed)
                assert (shown["vm_state"], shown["task_state"]) == allowed.get(state, state)


async def test_an_undefined_move_is_an_error_and_changes_nothing(store):
    row = new("building", "scheduling")
    async with store.write() as session:
        await servers.add(session, [row])
    with pytest.raises(UndefinedMove, match=row["id"]):
        async with store.write() as session:
            moved = Moved(server_id=row["id"], move=VERBS["start"].move("up"), values={"power_state": 1})
            await moved(session)
    async with store.read() as session:
        assert (await servers.server(session, row["id"]))["power_state"] == 0
