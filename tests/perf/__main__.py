"""The benchmarks: `python -m tests.perf [all|scheduler|placement|servers|host|front]`.

Each benchmark runs in a process of its own, so that memory and caches of one do not count for another.
What they print is a table for people and one JSON object a line for programs.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

Line = dict[str, Any]
NAMED = (
    *("kind", "schedulers", "hosts", "servers", "clients", "groups", "rounds"),
    *("providers", "shape", "limit", "busy", "devices", "batch"),
)
"""Fields that say which case a line is of, not what was measured."""


def _scheduler() -> list[Line]:
    from tests.perf import scheduler

    with tempfile.TemporaryDirectory() as directory:
        return asyncio.run(scheduler.measure(Path(directory)))


def _placement() -> list[Line]:
    from tests.perf import placement

    return asyncio.run(placement.run([]))


def _servers() -> list[Line]:
    from tests.perf import servers

    return servers.run()


def _host() -> list[Line]:
    from tests.perf import host

    return host.run()


def _front() -> list[Line]:
    from tests.perf import front

    return front.run()


BENCHES: Mapping[str, Callable[[], list[Line]]] = {
    "scheduler": _scheduler,
    "placement": _placement,
    "servers": _servers,
    "host": _host,
    "front": _front,
}


def table(lines: list[Line]) -> Table:
    """Lay out what was measured, a row for each figure."""
    shown = Table("benchmark", "case", "figure", "value")
    for line in lines:
        case = ", ".join(f"{name} {line[name]}" for name in NAMED if name in line)
        figures = [(name, value) for name, value in line.items() if name != "bench" and name not in NAMED]
        for place, (name, value) in enumerate(figures):
            first = place == 0
            shown.add_row(line["bench"] if first else "", case if first else "", name, str(value))
        shown.add_section()
    return shown


def _apart(name: str) -> list[Line]:
    """Run one benchmark in a process of its own."""
    print(f"running {name} ...", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "tests.perf", name, "--raw"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def main() -> None:
    """Run the benchmarks that were asked for and print what they measured."""
    parser = argparse.ArgumentParser(prog="tests.perf", description=__doc__)
    parser.add_argument("name", nargs="?", default="all", choices=("all", *BENCHES))
    parser.add_argument("--raw", action="store_true", help="run in this process and print JSON lines alone")
    asked = parser.parse_args()
    names = BENCHES if asked.name == "all" else (asked.name,)
    if asked.raw:
        lines = [line for name in names for line in BENCHES[name]()]
    else:
        lines = [line for name in names for line in _apart(name)]
        Console(width=None if sys.stdout.isatty() else 120).print(table(lines))
    for line in lines:
        print(json.dumps(line))


if __name__ == "__main__":
    main()
