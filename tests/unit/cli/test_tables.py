"""What commands print in tables can be copied whole."""

import io

import pytest
from rich.console import Console
from rich.table import Table

from novakit.calls.conductor import AuditFinding, Stranger
from novakit.cli import audit, guest
from novakit.cli.scheduling.explain import whole

FILE = "a07e93b7-ef12-42ba-8fbc-6bad160e69fb.83baeac5-63f0-4453-aeca-7d06f914807d"
FINDING = AuditFinding(
    kind="image file", name=FILE, problem="No image has it.", remedy=f"`novakit image remove {FILE}`."
)
GUEST = Stranger(host="h", id=FILE[:36], name="web", project_id="p" * 32, power="running", why="?", first_seen="2026")


@pytest.mark.parametrize("width", [80, 200])
@pytest.mark.parametrize(("table", "told"), [(audit._table([FINDING]), 2), (guest._table([GUEST]), 1)])
def test_what_does_not_fit_is_folded_and_nothing_of_it_is_cut_off(table: Table, told: int, width: int) -> None:
    console = Console(width=width, file=io.StringIO())
    console.print(table)
    printed = console.file.getvalue()
    assert "\N{HORIZONTAL ELLIPSIS}" not in printed
    rows = [line.split("\N{BOX DRAWINGS LIGHT VERTICAL}") for line in printed.splitlines()]
    columns = zip(*(row for row in rows if len(row) > 1), strict=True)
    joined = ["".join(part.strip() for part in column) for column in columns]
    assert sum(FILE[:36] in column for column in joined) >= told


def test_a_cell_is_shown_as_it_is() -> None:
    assert whole("[bold]x[/bold]").plain == "[bold]x[/bold]"
