"""`novakit capacity`: how many more servers of a flavor fit, where, and what runs out first."""

import argparse
import sys

import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from novakit.calls.capacity import CapacityReport
from novakit.cli.client import add_options, client
from novakit.cli.scheduling.explain import wide
from novakit_hookspecs.plain import to_record


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `novakit capacity` to the command line."""
    parser = subparsers.add_parser(
        "capacity",
        description="Count how many more servers of a flavor fit, where, and what runs out first; nothing is made.",
    )
    parser.add_argument("--flavor", required=True, help="name or id of the flavor")
    parser.add_argument("--image", help="id of an image")
    parser.add_argument("--project", help="id or name of the project they would belong to")
    parser.add_argument("--zone", help="availability zone")
    parser.add_argument("--group", help="id of a server group they would join")
    parser.add_argument("--survive", type=int, default=0, metavar="N", help="count again after losing N hosts")
    add_options(parser)
    parser.set_defaults(func=capacity)


def capacity(args: argparse.Namespace) -> int:
    """Print the counts. Returns 1 when nothing fits, or when servers of the lost hosts would find no room."""
    asked = {
        "flavor": args.flavor,
        "image": args.image,
        "project_id": args.project,
        "availability_zone": args.zone,
        "group": args.group,
        "survive": args.survive or None,
    }
    body = {name: value for name, value in asked.items() if value is not None}
    shown = client(args).post("novakit", "v1/capacity", body)["capacity"]
    told = to_record(shown, CapacityReport, tolerant=True)
    if args.format == "json":
        sys.stdout.buffer.write(orjson.dumps(shown, option=orjson.OPT_INDENT_2) + b"\n")
    else:
        _show(told, wide())
    after = told.survive
    return 0 if (after or told).fits and not (after and after.homeless) else 1


def _show(told: CapacityReport, console: Console) -> None:
    counted = "" if told.counted_by == "filters" else f", as the scheduler driver {told.counted_by} accepts them"
    fits = f"{told.fits} more {told.flavor} fit on {_hosts(told.hosts_in_question)}{counted}"
    console.print(Text(fits, style="bold"))
    if told.failed:
        console.print(Text(f"it could not be counted: {told.failed}"))
    if told.message:
        console.print(Text(told.message))
    if told.runs_out_first:
        ends = ", ".join(f"{name} on {_hosts(count)}" for name, count in told.runs_out_first.items())
        console.print(Text(f"what runs out first: {ends}"))
    table = Table("host", "fits", "runs out")
    for one in told.hosts[:20]:
        table.add_row(Text(one.host), str(one.fits), one.runs_out)
    console.print(table)
    if (after := told.survive) is not None:
        lost = ", ".join(after.lost[:10]) + (", ..." if len(after.lost) > 10 else "")
        console.print(Text(f"after losing {lost}:", style="bold"))
        console.print(Text(f"  servers that move elsewhere: {after.moved}; that find no room: {after.homeless}"))
        console.print(Text(f"  {after.fits} more {after.flavor} fit then"))


def _hosts(count: int) -> str:
    return "1 host" if count == 1 else f"{count} hosts"
