"""`novakit audit`: whether anything on the hosts or in the ledger belongs to nobody."""

import argparse
import sys
from collections.abc import Sequence

import orjson
from rich.table import Table
from rich.text import Text

from novakit.calls.conductor import AuditFinding, AuditReport
from novakit.cli.client import add_options, client
from novakit.cli.scheduling.explain import whole, wide
from novakit_hookspecs.plain import to_record

_LISTED = 20
"""Hosts that are named in one sentence on the screen."""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `novakit audit` to the command line."""
    parser = subparsers.add_parser(
        "audit",
        description="Compare servers with claims, guests, ports, disks and files; exits with 1 when one is orphaned.",
    )
    add_options(parser)
    parser.set_defaults(func=audit)


def audit(args: argparse.Namespace) -> int:
    """Print what is orphaned; give 1 when something is, or when a host could not be asked."""
    shown = client(args).get("novakit", "v1/audit")["audit"]
    found = to_record(shown, AuditReport, tolerant=True)
    if args.format == "json":
        sys.stdout.buffer.write(orjson.dumps(shown, option=orjson.OPT_INDENT_2) + b"\n")
    else:
        _show(found)
    return 1 if found.orphaned or found.unchecked else 0


def _show(found: AuditReport) -> None:
    console = wide()
    if found.foreign:
        console.print(Text("Claimed by others through Placement:", style="bold"))
        console.print(_table(found.foreign))
    if found.unchecked:
        named = _few(found.unchecked)
        hosts = "1 host" if len(found.unchecked) == 1 else f"{len(found.unchecked)} hosts"
        console.print(Text(f"{hosts} could not be asked: {named}", style="bold"))
        console.print(Text("Start the agents there and look again: what those hosts hold is not known."))
    if found.untold:
        named = _few(found.untold)
        console.print(Text(f"The network driver of {named} does not say what lost deployments have left there."))
    if found.orphaned:
        console.print(Text(f"{len(found.orphaned)} orphaned:", style="bold"))
        console.print(_table(found.orphaned))
        return
    looked = ", ".join(f"{count} {what}" for what, count in found.counted.items())
    console.print(Text("nothing is orphaned", style="bold"), Text(f"({looked})"))


def _few(hosts: Sequence[str]) -> str:
    return ", ".join(hosts[:_LISTED]) + (", ..." if len(hosts) > _LISTED else "")


def _table(findings: Sequence[AuditFinding]) -> Table:
    table = Table("kind", "name", "host", "owner", "what to do")
    for each in findings:
        cells = (each.kind, each.name, each.host or "-", each.owner or "-")
        table.add_row(*map(whole, cells), whole(f"{each.problem} {each.remedy}"))
    return table
