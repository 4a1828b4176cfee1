"""The reference's table of moves is the code's; run this file as a program to write it anew."""

from pathlib import Path

from novakit.compute import states

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "server-states.md"
BEGIN, END = "<!-- moves -->\n", "<!-- end of moves -->\n"


def table():
    lines = [
        "| operation | event | from (vm_state: task_state) | to vm_state | to task_state |",
        "|---|---|---|---|---|",
    ]
    for move in states.MOVES:
        every = move.before == states.LIVING
        before = "any state but deleted and deleting" if every else "; ".join(map(words, move.before.items()))
        kept = move.vm_state or "as before"
        lines.append(f"| {move.operation} | {move.event} | {before} | {kept} | {move.task_state or 'none'} |")
    return "\n".join(lines) + "\n"


def words(line):
    vm_state, task_states = line
    return f"{vm_state}: {', '.join(task or 'none' for task in task_states)}"


def parts():
    head, _, rest = PAGE.read_text().partition(BEGIN)
    return head, *rest.partition(END)[::2]


def test_the_reference_shows_the_moves_of_the_code():
    assert parts()[1] == table(), f"run python {Path(__file__).name}"


if __name__ == "__main__":
    head, _, tail = parts()
    PAGE.write_text(head + BEGIN + table() + END + tail)
