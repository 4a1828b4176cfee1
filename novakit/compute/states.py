"""The states of a server, every move between them, and the one word clients read.

A server has a `vm_state`, what it is, and a `task_state`, what is being done to it, or None.
Whatever changes either of them is a row of `MOVES`; what is not there does not happen.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import attrs
import sqlalchemy as sa

from novakit import errors
from novakit.store.compute import servers
from novakit.store.engine import Session

State = tuple[str, str | None]
"""vm_state and task_state."""
REQUEST, UNDO = "request", "undo"
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


@attrs.frozen
class Move:
    """One row of the table."""

    operation: str
    event: str
    """`request` is what the API writes; the others are steps of the operation and its undo."""
    before: Mapping[str, Sequence[str | None]]
    """The states it is possible in: task_states by vm_state."""
    vm_state: str | None
    """What the server is then; None keeps what it was."""
    task_state: str | None

    def pairs(self) -> Iterator[tuple[State, State]]:
        """Give every move as the state before and the state after."""
        for vm_state, task_states in self.before.items():
            for task_state in task_states:
                yield (vm_state, task_state), (self.vm_state or vm_state, self.task_state)


NEW: State = ("building", "scheduling")
"""How every server begins."""

_CREATING = ("scheduling", "networking", "spawning")
_SNAPSHOT = ("shelving", "shelving_image_pending_upload", "shelving_image_uploading")


def _in(vm_states: Sequence[str], *task_states: str | None) -> Mapping[str, Sequence[str | None]]:
    return dict.fromkeys(vm_states, task_states)


_BUILDING, _ACTIVE, _STOPPED = ("building",), ("active",), ("stopped",)
_SHELVED, _AWAY = ("shelved",), ("shelved_offloaded",)
_ON_HOST, _STOPPABLE, _SHELVES = ("active", "stopped"), ("active", "error"), ("shelved", "shelved_offloaded")
_BOOTABLE = ("active", "stopped", "error")

_ALL_BUT_DELETE: tuple[Move, ...] = (
    Move("create", "place", _in(_BUILDING, "scheduling"), None, "networking"),
    Move("create", "wire", _in(_BUILDING, "networking"), None, "spawning"),
    Move("create", "elsewhere", _in(_BUILDING, "spawning"), None, "scheduling"),
    Move("create", "build", _in(_BUILDING, "spawning"), "active", None),
    Move("create", UNDO, _in(_BUILDING, *_CREATING), "error", None),
    Move("stop", REQUEST, _in(_STOPPABLE, None), None, "powering-off"),
    Move("stop", "down", _in(_STOPPABLE, "powering-off"), "stopped", None),
    Move("stop", UNDO, _in(_STOPPABLE, "powering-off"), None, None),
    Move("start", REQUEST, _in(_STOPPED, None), None, "powering-on"),
    Move("start", "up", _in(_STOPPED, "powering-on"), "active", None),
    Move("start", UNDO, _in(_STOPPED, "powering-on"), None, None),
    Move("reboot", REQUEST, _in(_ACTIVE, None), None, "rebooting"),
    Move("reboot", "up", _in(_ACTIVE, "rebooting"), "active", None),
    Move("reboot", UNDO, _in(_ACTIVE, "rebooting"), None, None),
    Move(
        "reboot hard",
        REQUEST,
        {**_in(_BOOTABLE, None, "rebooting_hard"), "active": (None, "rebooting", "rebooting_hard")},
        None,
        "rebooting_hard",
    ),
    Move("reboot hard", "up", _in(_BOOTABLE, "rebooting_hard"), "active", None),
    Move("reboot hard", UNDO, _in(_BOOTABLE, "rebooting_hard"), None, None),
    Move("shelve", REQUEST, _in(_ON_HOST, None), None, "shelving"),
    Move("shelve", "off", _in(_ON_HOST, "shelving"), None, "shelving_image_pending_upload"),
    Move("shelve", "image", _in(_ON_HOST, "shelving_image_pending_upload"), None, "shelving_image_uploading"),
    Move("shelve", "upload", _in(_ON_HOST, "shelving_image_uploading"), "shelved", None),
    Move("shelve", "upload to offload", _in(_ON_HOST, "shelving_image_uploading"), "shelved", "shelving_offloading"),
    Move("shelve", "offload", _in(_SHELVED, "shelving_offloading"), "shelved_offloaded", None),
    Move("shelve", UNDO, _in(_ACTIVE, *_SNAPSHOT), None, None),
    Move("shelve", "undo off", _in(_ON_HOST, *_SNAPSHOT), "stopped", None),
    Move("shelve", "undo offload", _in(_SHELVED, "shelving_offloading"), None, None),
    Move("shelveOffload", REQUEST, _in(_SHELVED, None), None, "shelving_offloading"),
    Move("shelveOffload", "offload", _in(_SHELVED, "shelving_offloading"), "shelved_offloaded", None),
    Move("shelveOffload", UNDO, _in(_SHELVED, "shelving_offloading"), None, None),
    Move("unshelve", REQUEST, _in(_SHELVES, None), None, "unshelving"),
    Move("unshelve", "wire", _in(_SHELVES, "unshelving"), None, "spawning"),
    Move("unshelve", "elsewhere", _in(_AWAY, "spawning"), None, "unshelving"),
    Move("unshelve", "forget", _in(_SHELVES, "spawning"), "active", None),
    Move("unshelve", UNDO, _in(_SHELVES, "unshelving", "spawning"), None, None),
    Move("report", "stopped", _in(_ACTIVE, None), "stopped", None),
    Move("report", "started", _in(_STOPPED, None), "active", None),
    Move("report", "lost", _in(_ON_HOST, None), "error", None),
)


def _living() -> Mapping[str, Sequence[str | None]]:
    """Collect every state there is before a delete."""
    found: dict[str, dict[str | None, None]] = {NEW[0]: {NEW[1]: None}}
    for move in _ALL_BUT_DELETE:
        for before, after in move.pairs():
            for vm_state, task_state in (before, after):
                found.setdefault(vm_state, {})[task_state] = None
    return {vm_state: tuple(task_states) for vm_state, task_states in found.items()}


LIVING = _living()
MOVES: tuple[Move, ...] = (
    *_ALL_BUT_DELETE,
    Move("delete", REQUEST, LIVING, None, "deleting"),
    Move("delete", "forget", _in(tuple(LIVING), "deleting"), "deleted", None),
)
"""Everything that can happen to a server's states, by the operation or the report that does it."""

PAIRS = frozenset(pair for move in MOVES for pair in move.pairs())
STATES = frozenset({NEW, *(state for pair in PAIRS for state in pair)})
TABLE: Mapping[tuple[str, str], Move] = {(move.operation, move.event): move for move in MOVES}


class UndefinedMove(Exception):
    """A server was to be moved from a state from which the table has no such move; nothing was written."""


def target(operation: str, event: str) -> dict[str, str | None]:
    """Give the columns that a move sets."""
    move = TABLE[operation, event]
    kept = {} if move.vm_state is None else {"vm_state": move.vm_state}
    return {**kept, "task_state": move.task_state}


async def move_if(
    session: Session, server_id: str, operation: str, event: str, *conditions: sa.ColumnElement[bool], **values: Any
) -> bool:
    """Make a move and set columns with it, where the server is in a state that allows it; tell whether it was."""
    return await servers.change_if(
        session, server_id, _is_before(operation, event), *conditions, **{**values, **target(operation, event)}
    )


@cache
def _is_before(operation: str, event: str) -> sa.ColumnElement[bool]:
    before = TABLE[operation, event].before
    return servers.in_states((vm_state, task) for vm_state, tasks in before.items() for task in tasks)


async def move(session: Session, server_id: str, operation: str, event: str, **values: Any) -> None:
    """Make a move and set columns with it; raise `UndefinedMove` where the table has none from the present state."""
    if not await move_if(session, server_id, operation, event, **values):
        raise UndefinedMove(f"server {server_id} is in no state from which {operation}/{event} may move it")


def begin(operation: str, server_id: str, vm_state: str, task_state: str | None) -> dict[str, str | None]:
    """Give the columns with which an operation begins; raise `Conflict` in a state in which it is not possible."""
    move = TABLE[operation, REQUEST]
    word = operation.split()[0]
    if vm_state not in move.before:
        raise errors.Conflict(f"Cannot '{word}' instance {server_id} while it is in vm_state {vm_state}")
    if task_state not in move.before[vm_state]:
        raise errors.Conflict(f"Cannot '{word}' instance {server_id} while it is in task_state {task_state}")
    return target(operation, REQUEST)


def status_of(vm_state: str, task_state: str | None) -> str:
    """Give the status; UNKNOWN for states nobody knows."""
    tasks = STATUSES.get(vm_state, {DEFAULT: "UNKNOWN"})
    return tasks.get(task_state or DEFAULT, tasks[DEFAULT])


def states_of(statuses: Iterable[str]) -> tuple[list[str], list[str] | None]:
    """Give the vm_states and task_states that have one of these statuses; no task_states when any will do."""
    wanted = {status.lower() for status in statuses}
    vm_states, task_states = set(), set()
    for vm_state, tasks in STATUSES.items():
        for task_state, status in tasks.items():
            if status.lower() in wanted:
                vm_states.add(vm_state)
                task_states.add(task_state)
    return sorted(vm_states), None if DEFAULT in task_states else sorted(task_states)
