"""The modules in which a mistake is hardest to see open with what they rest on: the idea, the invariant, the cost.

Which modules those are follows from their code: whoever makes what tasks, threads or processes wait for or are told
by, and whoever is long. Beside them `HARD` names those that a reader cannot see to be right for another reason, such
as a search or a cache that is kept by hand. One that is moved keeps its header and takes its line along.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.house.figures import ROOT

PARTS = ("The idea:", "The invariant:", "The cost:")
LINES = (5, 30)
"""How long such a header is, a table in it included: what it takes to say three things, and no essay."""
WORDS = 12
"""Words of an idea or an invariant; fewer say nothing that the name of the module does not."""
COUNTED = re.compile(r"\d|\b(?:nothing|none|one|two|three|four|five|six|seven|eight|nine|ten|each)\b")
"""What a cost has to say: how long something takes, or how many statements, calls or system calls."""
WHERE = ("hookspecs", "libraries", "novakit", "plugins")
LONG = 300
"""Lines of code, without comments and docstrings, that nobody has in mind at once."""
WAITING = frozenset(
    {
        *(f"asyncio.{name}" for name in ("Condition", "Event", "Lock", "Queue", "Semaphore")),
        *(f"threading.{name}" for name in ("Condition", "Event", "Lock", "RLock", "Semaphore", "Thread")),
        "create_future",
        "fcntl.flock",
        "OrderedDict",
        "WeakSet",
        "WeakValueDictionary",
        "weakref.WeakSet",
        "weakref.WeakValueDictionary",
    }
)
"""What is called, or made by a field, where several wait for one another, share what goes away by itself, or keep a
cache by hand.

A task makes no module hard by itself: who starts one and waits for its end reads like any other call. Nor does
`functools.cache` of a pure function, which can be wrong in size alone.
"""
PLAIN = {
    "hookspecs/novakit_hookspecs/testing": "suites of tests, each of which is read alone",
    "novakit/cli/serve.py": "its event is a signal's, for which one task waits",
    "novakit/network/ports.py": "requests about one noun, each a transaction that is read from its top to its end",
    "novakit/store/migrations/versions": "tables as they were, which nobody changes",
}
"""Modules and folders that the rule finds, and why they need no header."""
HARD = (
    "libraries/fit/novakit_fit/affinity.py",
    "libraries/fit/novakit_fit/matching.py",
    "libraries/fit/novakit_fit/search/board.py",
    "libraries/fit/novakit_fit/search/cover.py",
    "libraries/fit/novakit_fit/search/puzzle.py",
    "libraries/fit/novakit_fit/search/questions.py",
    "libraries/fit/novakit_fit/search/rules.py",
    "libraries/fit/novakit_fit/trees.py",
    "novakit/agent/images.py",
    "novakit/agent/membership.py",
    "novakit/agent/notes.py",
    "novakit/api/pieces.py",
    "novakit/bus/contract.py",
    "novakit/bus/crossing.py",
    "novakit/bus/enrolments.py",
    "novakit/bus/hub.py",
    "novakit/bus/places.py",
    "novakit/bus/tickets.py",
    "novakit/bus/topologies.py",
    "novakit/concurrency/deadlines.py",
    "novakit/conductor/guests/networks.py",
    "novakit/conductor/guests/note.py",
    "novakit/conductor/guests/renewal.py",
    "novakit/conductor/guests/strangers.py",
    "novakit/conductor/leases.py",
    "novakit/conductor/outcomes.py",
    "novakit/conductor/steps/building.py",
    "novakit/conductor/verbs/create.py",
    "novakit/conductor/work.py",
    "novakit/disk/room.py",
    "novakit/disk_images/inspection.py",
    "novakit/durable.py",
    "novakit/front/door.py",
    "novakit/front/sharing.py",
    "novakit/identity/tokens.py",
    "novakit/logs/rendering.py",
    "novakit/network/allocation/drafts.py",
    "novakit/network/hosts/noting.py",
    "novakit/network/hosts/remembered.py",
    "novakit/network/routers.py",
    "novakit/network/service.py",
    "novakit/placement/candidates/search.py",
    "novakit/placement/ledger.py",
    "novakit/plughost/call.py",
    "novakit/scheduler/choose.py",
    "novakit/scheduler/claims.py",
    "novakit/scheduler/picture/cells.py",
    "novakit/scheduler/picture/groups.py",
    "novakit/scheduler/picture/measurements.py",
    "novakit/scheduler/picture/table.py",
    "novakit/scheduler/pipeline/pipeline.py",
    "novakit/scheduler/pipeline/steps.py",
    "novakit/store/engine.py",
    "novakit/store/operations.py",
    "novakit/store/placement/hosts.py",
    "novakit/store/quota.py",
    "novakit/store/sqlite/commits.py",
    "novakit/store/sqlite/statements.py",
    "plugins/drivers/libvirt/novakit_driver_libvirt/driver.py",
    "plugins/drivers/ovs/novakit_net_ovs/abandoned.py",
    "plugins/drivers/ovs/novakit_net_ovs/flows.py",
    "plugins/drivers/ovs/novakit_net_ovs/ownership.py",
    "plugins/drivers/ovs/novakit_net_ovs/plan.py",
)
"""Modules that the rule does not find."""


@cache
def _found() -> dict[str, str]:
    """Return by module why it is hard."""
    found = {}
    for folder in WHERE:
        for path in sorted((ROOT / folder).rglob("*.py")):
            place = path.relative_to(ROOT).as_posix()
            if why := _why_hard(path):
                found[place] = why
    return found


def _why_hard(path: Path) -> str:
    text = path.read_text()
    tree = ast.parse(text)
    if waits := sorted(WAITING.intersection(_makes(tree))):
        return f"makes {', '.join(waits)}"
    code = _lines_of_code(text, tree)
    return f"has {code} lines of code, which is more than {LONG}" if code > LONG else ""


def _makes(tree: ast.Module) -> Iterator[str]:
    """Name what is called, and what fields are made by."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        for made in (node.func, *(word.value for word in node.keywords if word.arg == "factory")):
            name = ast.unparse(made)
            yield name
            yield name.rpartition(".")[2]


def _lines_of_code(text: str, tree: ast.Module) -> int:
    said = {
        line
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    lines = enumerate(text.splitlines(), 1)
    return sum(bool(line.strip()) and not line.strip().startswith("#") and number not in said for number, line in lines)


def _is_plain(place: str) -> bool:
    return any(place == known or place.startswith(f"{known}/") for known in PLAIN)


def _parts(header: str) -> dict[str, str]:
    """Return what a header says under each label, up to the next label or the end of the paragraph."""
    found = {}
    for label in PARTS:
        told = re.search(rf"^{label}(.*?)(?=^The (?:idea|invariant|cost):|\n\n|\Z)", header, re.MULTILINE | re.DOTALL)
        if told is not None:
            found[label] = " ".join(told[1].split())
    return found


@pytest.mark.parametrize("place", sorted({*HARD, *(place for place in _found() if not _is_plain(place))}))
def test_a_hard_module_opens_with_its_idea_its_invariant_and_its_cost(place: str) -> None:
    path = ROOT / place
    assert path.is_file(), f"{place} is not there: where it was moved to belongs on this list in its place"
    header = ast.get_docstring(ast.parse(path.read_text())) or ""
    parts = _parts(header)
    why = _found().get(place, "is on the list of hard modules")
    missing = [label for label in PARTS if label not in parts]
    assert not missing, (
        f"{place} {why}; its docstring lacks {' and '.join(missing)} at the begin of a line. Write what it rests"
        " on, or name the module in PLAIN with the reason why nobody has to know that"
    )
    for label in PARTS[:2]:
        assert len(parts[label].split()) >= WORDS, f"{place}: what stands after {label!r} says too little"
    assert COUNTED.search(parts["The cost:"]), (
        f"{place}: the cost is a figure with its unit, as it was measured or counted"
    )
    assert LINES[0] <= len(header.splitlines()) <= LINES[1], (
        f"the header of {place} has {len(header.splitlines())} lines"
    )


def test_the_list_is_in_order_and_names_nothing_twice_nor_what_the_rule_finds() -> None:
    assert list(HARD) == sorted(set(HARD))
    assert not _found().keys() & {*HARD}


def test_what_needs_no_header_is_there_and_would_be_found() -> None:
    assert [known for known in PLAIN if not any(_under(place, known) for place in _found())] == []


def _under(place: str, known: str) -> bool:
    return place == known or place.startswith(f"{known}/")


def test_the_rule_finds_what_waits_and_what_is_long(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    for text, is_hard in (
        ("import asyncio\nlock = asyncio.Lock()\n", True),
        ("class A:\n    turn: asyncio.Lock = attrs.field(init=False, factory=asyncio.Lock)\n", True),
        ("answer = asyncio.get_running_loop().create_future()\n", True),
        ("def wait(event: asyncio.Event) -> None: ...\n", False),
        ("a = 1\n" * (LONG + 1), True),
        ("a = 1\n" * LONG, False),
        ("# a\n" * (LONG + 1), False),
        ('"""' + "a\n" * (LONG + 1) + '"""\n', False),
    ):
        module.write_text(text)
        assert bool(_why_hard(module)) == is_hard, text[:80]
