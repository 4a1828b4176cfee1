"""The reference's table of moves is the code's; run this file as a program to write it anew."""

from pathlib import Path

from novakit.compute.states import ANY
from novakit.conductor import moves

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "server-states.md"
ORDER = {"create": 0, moves.REPORT: 2, "delete": 3}
BEGIN, END = "<!-- moves -->\n", "<!-- end of moves -->\n"


def table():
    lines = [
        "| operation | event | from (vm_state: task_state) | to vm_state | to task_state |",
        "|---|---|---|---|---|",
    ]
    for (kind, event), move in sorted(moves.TABLE.items(), key=lambda line: ORDER.get(line[0][0], 1)):
        before = "; ".join(map(words, move.before.items())) or "no server yet"
        kept = move.vm_state or "as before"
        lines.append(f"| {kind} | {event} | {before} | {kept} | {move.task_state or 'none'} |")
    return "\n".join(lines) + "\n"


def words(line):
    vm_state, task_states = line
    tasks = ", ".join("any but deleting" if task == ANY else task or "none" for task in task_states)
    return f"{'any but deleted' if vm_state == ANY else vm_state}: {tasks}"


def parts():
    head, _, rest = PAGE.read_text().partition(BEGIN)
    return head, *rest.partition(END)[::2]


def test_the_reference_shows_the_moves_of_the_code():
    assert parts()[1] == table(), f"run python {Path(__file__).name}"


if __name__ == "__main__":
    head, _, tail = parts()
    PAGE.write_text(head + BEGIN + table() + END + tail)
