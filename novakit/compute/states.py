"""The states of a server, what a move between them is, and the one word clients read.

A server has a `vm_state`, what it is, and a `task_state`, what is being done to it, or None.
Whatever changes either of them is a `Move`, declared by the verb or the report that makes it.
Each is written by one statement that holds only while the server still is in a state the move begins from, so that of
two changes at once one is refused, on every database; `novakit.conductor.moves` is the table of all of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Unpack

import attrs
import sqlalchemy as sa

from novakit import errors
from novakit.store.compute import servers
from novakit.store.engine import Session
from novakit_hookspecs.servers import Power

StatePair = tuple[str, str | None]
"""vm_state and task_state."""
Before = Mapping[str, Sequence[str | None]]
"""The states a move is possible in: task_states by vm_state."""
REQUEST, UNDO = "request", "undo"
"""The event with which a verb begins, and the one (or the first word of those) with which one that failed ends."""
ANY = "*"
"""As vm_state: every one of a server that is not deleted; as task_state: every one but deleting."""
DELETING = "deleting"
DEFAULT = "default"

_RESIZE = dict.fromkeys(("resize_prep", "resize_migrating", "resize_migrated", "resize_finish"), "RESIZE")
_REBUILD = dict.fromkeys(("rebuilding", "rebuild_block_device_mapping", "rebuild_spawning"), "REBUILD")

STATUSES: Mapping[str, Mapping[str, str]] = {
    "active": {
        DEFAULT: "ACTIVE",
        **dict.fromkeys(("rebooting", "reboot_pending", "reboot_started"), "REBOOT"),
        **dict.fromkeys(("rebooting_hard", "reboot_pending_hard", "reboot_started_hard"), "HARD_REBOOT"),
        "updating_password": "PASSWORD",
        **_REBUILD,
        "migrating": "MIGRATING",
        **_RESIZE,
    },
    "building": {DEFAULT: "BUILD"},
    "stopped": {DEFAULT: "SHUTOFF", **_RESIZE, **_REBUILD},
    "resized": {DEFAULT: "VERIFY_RESIZE", "resize_reverting": "REVERT_RESIZE"},
    "paused": {DEFAULT: "PAUSED", "migrating": "MIGRATING"},
    "suspended": {DEFAULT: "SUSPENDED"},
    "rescued": {DEFAULT: "RESCUE"},
    "error": {DEFAULT: "ERROR", **_REBUILD},
    "deleted": {DEFAULT: "DELETED"},
    "soft-delete": {DEFAULT: "SOFT_DELETED"},
    "shelved": {DEFAULT: "SHELVED"},
    "shelved_offloaded": {DEFAULT: "SHELVED_OFFLOADED"},
}
"""The status by vm_state, then by task_state; clients filter by all of them, also those no server here can have."""
POWER_NUMBERS = {Power.RUNNING: 1, Power.PAUSED: 3, Power.SHUTDOWN: 4, Power.CRASHED: 6, Power.SUSPENDED: 7}
"""Power states as the compute API counts them; 0 is unknown."""
AT_REST: Mapping[str, Power] = {
    "active": Power.RUNNING,
    "stopped": Power.SHUTDOWN,
    "paused": Power.PAUSED,
    "suspended": Power.SUSPENDED,
}
"""The vm_states of a server that is whole and has a guest on its host, each with the power state of that guest."""


@attrs.frozen(eq=False)
class Move:
    """One change of a server's states."""

    event: str
    """`request` is what the API writes; the others are steps of the operation and its undo."""
    before: Before
    vm_state: str | None
    """What the server is then; None keeps what it was."""
    task_state: str | None

    def allows(self, vm_state: str, task_state: str | None) -> bool:
        """Return whether it may be made from a state."""
        tasks = self.tasks(vm_state)
        return task_state in tasks or (ANY in tasks and task_state != DELETING)

    def tasks(self, vm_state: str) -> Sequence[str | None]:
        """Return the task_states it is possible in while the server is in this vm_state."""
        return self.before.get(ANY) or self.before.get(vm_state, ())

    def target(self) -> servers.ServerColumns:
        """Return the columns that it sets."""
        kept: servers.ServerColumns = {} if self.vm_state is None else {"vm_state": self.vm_state}
        return {**kept, "task_state": self.task_state}


def but(*left_out: str) -> Sequence[str]:
    """Return the vm_states of `AT_REST` without some."""
    return tuple(vm_state for vm_state in AT_REST if vm_state not in left_out)


def at_rest_with(power: Power) -> str:
    """Return the vm_state at rest of a server whose guest is in a power state; stopped for one that has crashed."""
    return next((vm_state for vm_state, expected in AT_REST.items() if expected is power), "stopped")


def when(vm_states: Iterable[str], *task_states: str | None) -> Before:
    """Return the states that a move begins from, where the task_states are the same for each vm_state."""
    return dict.fromkeys(vm_states, task_states)


class UndefinedMove(Exception):
    """A server was to be moved from a state from which there is no such move; nothing was written."""


@attrs.frozen(kw_only=True)
class Moved:
    """Makes a move of one server and sets columns with it, alone or with many others at once."""

    server_id: str
    move: Move
    values: servers.ServerColumns = attrs.field(factory=servers.ServerColumns)

    async def __call__(self, session: Session) -> None:
        """Write it; raise `UndefinedMove` where the server is in no state that the move begins from."""
        if not await move_if(session, self.server_id, self.move, **self.values):
            raise UndefinedMove(f"server {self.server_id} is in no state from which {self.move.event} may move it")

    @staticmethod
    async def write(session: Session, moves: "Sequence[Moved]") -> None:
        """Write several, those that are alike in one statement; raise `UndefinedMove` when one may not be made.

        Those of one server are made in their order, and it is only seen in the state to which the last one leads.
        """
        each_server: dict[str, list[Moved]] = {}
        for each in moves:
            each_server.setdefault(each.server_id, []).append(each)
        alike: dict[tuple[Move, frozenset[str]], list[dict[str, object]]] = {}
        for server_id, some in each_server.items():
            values = _together(some)
            alike.setdefault((some[0].move, frozenset(values)), []).append({"id": server_id, **values})
        for (move, _), rows in alike.items():
            if await servers.change_each_if(session, _is_before(move), rows) != len(rows):
                raise UndefinedMove(f"one of {len(rows)} servers is in no state from which {move.event} may move it")


def _together(moves: "Sequence[Moved]") -> dict[str, object]:
    """Return the columns that moves of one server come to; raise `UndefinedMove` where one cannot follow another."""
    values: dict[str, object] = {}
    for before, each in zip([None, *moves], moves, strict=False):
        if before is not None and not _may_follow(before.move, each.move):
            raise UndefinedMove(f"{before.move.event} moves no server to where {each.move.event} may move it from")
        values |= {**each.values, **each.move.target()}
    return values


@cache
def _may_follow(before: "Move", after: "Move") -> bool:
    states = before.before if before.vm_state is None else (before.vm_state,)
    return all(after.allows(vm_state, before.task_state) for vm_state in states)


async def move_if(
    session: Session,
    server_id: str,
    move: Move,
    *conditions: sa.ColumnElement[bool],
    **values: Unpack[servers.ServerColumns],
) -> bool:
    """Make a move and set columns with it, where the server is in a state that allows it. Returns whether it was."""
    written: servers.ServerColumns = {**values, **move.target()}
    return await servers.change_if(session, server_id, _is_before(move), *conditions, **written)


@cache
def _is_before(move: Move) -> sa.ColumnElement[bool]:
    return servers.in_states(move.before)


def check(word: str, move: Move, server_id: str, vm_state: str, task_state: str | None) -> None:
    """Raise `Conflict` in a state in which the move that `word` begins with is not possible."""
    if move.allows(vm_state, task_state):
        return
    tried = f"Cannot '{word}' instance {server_id} while it is in"
    if move.tasks(vm_state):
        raise errors.Conflict(f"{tried} task_state {task_state}")
    raise errors.Conflict(f"{tried} vm_state {vm_state}")


def status_of(vm_state: str, task_state: str | None) -> str:
    """Return the status; UNKNOWN for states nobody knows."""
    tasks = STATUSES.get(vm_state, {DEFAULT: "UNKNOWN"})
    return tasks.get(task_state or DEFAULT, tasks[DEFAULT])


def states_of(statuses: Iterable[str]) -> tuple[list[str], list[str] | None]:
    """Return the vm_states and task_states that have one of these statuses; no task_states when any will do."""
    wanted = {status.lower() for status in statuses}
    vm_states, task_states = set(), set()
    for vm_state, tasks in STATUSES.items():
        for task_state, status in tasks.items():
            if status.lower() in wanted:
                vm_states.add(vm_state)
                task_states.add(task_state)
    return sorted(vm_states), None if DEFAULT in task_states else sorted(task_states)
