"""The modules in which a mistake is hardest to see open with what they rest on: the idea, the invariant, the cost.

A module joins the list when a reader cannot see from its code alone why it is right. One that is moved keeps its header
and takes its line along.
"""

import ast
import re

import pytest

from tests.house.figures import ROOT

PARTS = ("The idea:", "The invariant:", "The cost:")
LINES = (5, 30)
"""How long such a header is, a table in it included: what it takes to say three things, and no essay."""
WORDS = 12
"""Words of an idea or an invariant; fewer say nothing that the name of the module does not."""
HARD = (
    "libraries/fit/novakit_fit/affinity.py",
    "libraries/fit/novakit_fit/matching.py",
    "libraries/fit/novakit_fit/numa.py",
    "libraries/fit/novakit_fit/search/board.py",
    "libraries/fit/novakit_fit/search/cover.py",
    "libraries/fit/novakit_fit/search/puzzle.py",
    "libraries/fit/novakit_fit/search/questions.py",
    "libraries/fit/novakit_fit/search/rules.py",
    "libraries/fit/novakit_fit/trees.py",
    "novakit/agent/agent.py",
    "novakit/agent/images.py",
    "novakit/agent/journal.py",
    "novakit/agent/membership.py",
    "novakit/agent/notes.py",
    "novakit/bus/contract.py",
    "novakit/bus/hub.py",
    "novakit/bus/places.py",
    "novakit/bus/repeats.py",
    "novakit/concurrency/gather.py",
    "novakit/concurrency/own_thread.py",
    "novakit/concurrency/shares.py",
    "novakit/concurrency/threads.py",
    "novakit/conductor/engine.py",
    "novakit/conductor/guests/note.py",
    "novakit/conductor/guests/strangers.py",
    "novakit/conductor/outcomes.py",
    "novakit/conductor/reports.py",
    "novakit/conductor/steps/building.py",
    "novakit/conductor/verbs/create.py",
    "novakit/conductor/wiring.py",
    "novakit/conductor/work.py",
    "novakit/disk/room.py",
    "novakit/disk_images/inspection.py",
    "novakit/durable.py",
    "novakit/front/door.py",
    "novakit/front/sharing.py",
    "novakit/identity/attempts.py",
    "novakit/identity/tokens.py",
    "novakit/network/allocation/drafts.py",
    "novakit/placement/candidates/forest.py",
    "novakit/placement/candidates/search.py",
    "novakit/placement/ledger.py",
    "novakit/plughost/call.py",
    "novakit/scheduler/choose.py",
    "novakit/scheduler/claims.py",
    "novakit/scheduler/picture/cells.py",
    "novakit/scheduler/picture/groups.py",
    "novakit/scheduler/picture/measurements.py",
    "novakit/scheduler/picture/state.py",
    "novakit/scheduler/picture/table.py",
    "novakit/scheduler/picture/trees.py",
    "novakit/scheduler/pipeline/pipeline.py",
    "novakit/scheduler/pipeline/record.py",
    "novakit/scheduler/pipeline/steps.py",
    "novakit/scheduler/select.py",
    "novakit/store/engine.py",
    "novakit/store/quota.py",
    "novakit/store/sqlite/connections.py",
    "novakit/store/sqlite/dialect.py",
    "novakit/store/sqlite/statements.py",
    "novakit/store/sqlite/wal.py",
    "plugins/drivers/ovs/novakit_net_ovs/driver.py",
    "plugins/drivers/ovs/novakit_net_ovs/flows.py",
    "plugins/drivers/ovs/novakit_net_ovs/plan.py",
)


def _parts(header: str) -> dict[str, str]:
    """Return what a header says under each label, up to the next label or the end of the paragraph."""
    found = {}
    for label in PARTS:
        told = re.search(rf"^{label}(.*?)(?=^The (?:idea|invariant|cost):|\n\n|\Z)", header, re.MULTILINE | re.DOTALL)
        if told is not None:
            found[label] = " ".join(told[1].split())
    return found


@pytest.mark.parametrize("place", HARD)
def test_a_hard_module_opens_with_its_idea_its_invariant_and_its_cost(place: str) -> None:
    path = ROOT / place
    assert path.is_file(), f"{place} is not there: where it was moved to belongs on this list in its place"
    header = ast.get_docstring(ast.parse(path.read_text())) or ""
    parts = _parts(header)
    missing = [label for label in PARTS if label not in parts]
    assert not missing, f"the docstring of {place} lacks {' and '.join(missing)} at the begin of a line"
    for label in PARTS[:2]:
        assert len(parts[label].split()) >= WORDS, f"{place}: what stands after {label!r} says too little"
    assert re.search(r"\d", parts["The cost:"]), f"{place}: the cost is a figure with its unit, as it was measured"
    assert LINES[0] <= len(header.splitlines()) <= LINES[1], (
        f"the header of {place} has {len(header.splitlines())} lines"
    )


def test_the_list_is_in_order_and_names_nothing_twice() -> None:
    assert list(HARD) == sorted(set(HARD))
