"""`novakit doctor`: what this machine can and cannot do, with a remedy per line."""

import argparse
import asyncio
import logging
import sys
from collections import Counter
from collections.abc import Sequence

import orjson
import structlog
from rich.console import Console
from rich.table import Table
from rich.text import Text

from novakit import config
from novakit.cli import paths, running
from novakit.cli.scheduling.explain import whole, wide
from novakit.doctor import examine
from novakit.errors import ConfigError
from novakit.plughost import best_driver
from novakit_hookspecs.findings import Finding, Verdict

DESCRIPTION = """\
Check what the service needs of this machine, and say for each item its state and what to do about it.

  ok       as it should be
  warn     works, but worse than it could, or lacks something optional
  missing  the service cannot work until this is repaired

It changes nothing.  The exit code is 0 when nothing is missing, 2 when configuration or database keep the service from
starting, else 1.
"""
STOPS = ("configuration", "database schema", "scheduler")
"""Checks of what the operator wrote or named: what is missing there ends `novakit serve` with code 2."""
_COLOURS = {Verdict.OK: "green", Verdict.WARN: "yellow", Verdict.MISSING: "bold red"}


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `novakit doctor` to the command line."""
    parser = subparsers.add_parser(
        "doctor",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--state", metavar="DIR", type=paths.absolute, default="state", help="where all state lives")
    parser.add_argument(
        "--config", metavar="FILE", type=paths.absolute, help="options in TOML; default DIR/novakit.toml"
    )
    parser.add_argument(
        "--driver", help="virt driver to look for; default the running service's, else one that runs real guests"
    )
    parser.add_argument("--network", help="network driver to look for; follows --driver, as in novakit serve")
    parser.add_argument("--format", choices=("table", "json"), default="table", help="for people, or for programs")
    parser.set_defaults(func=doctor)


def doctor(args: argparse.Namespace) -> int:
    """Print the findings. Returns 1 when something is missing, 2 when that keeps `novakit serve` from starting."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    findings = asyncio.run(_look(args))
    if args.format == "json":
        rows = [
            {"check": one.check, "state": one.verdict.value, "found": one.found, "remedy": one.remedy}
            for one in findings
        ]
        sys.stdout.buffer.write(orjson.dumps(rows, option=orjson.OPT_INDENT_2) + b"\n")
    else:
        _show(findings, wide())
    missing = [one for one in findings if one.verdict is Verdict.MISSING]
    for one in missing:
        if one.check in STOPS:
            print(f"novakit: {one.found}", file=sys.stderr)
    if any(one.check in STOPS for one in missing):
        return 2
    return 1 if missing else 0


async def _look(args: argparse.Namespace) -> list[Finding]:
    path = args.config or args.state / "novakit.toml"
    told = await asyncio.to_thread(running.ask, args.state)
    driver = args.driver or (told and told.driver) or best_driver()
    network = args.network or (told.network if told and driver == told.driver else None)
    plain = config.Config(state=paths.resolved(args.state), driver=driver, network=network or "")
    try:
        paths.require_config(args.config)
        chosen = config.Config(state=plain.state, driver=driver, network=network or "", **config.read(path))
        findings = await examine(chosen)
    except ConfigError as error:
        remedy = "correct it; novakit serve refuses to start"
        wrong = Finding(check="configuration", verdict=Verdict.MISSING, found=str(error), remedy=remedy)
        return [wrong, *await examine(plain)]
    said = f"{path} is in order" if path.exists() else f"no {path}; every option has its default"
    findings += await asyncio.to_thread(running.examine, args.state)
    return [Finding(check="configuration", verdict=Verdict.OK, found=said), *findings]


def _show(findings: Sequence[Finding], console: Console) -> None:
    table = Table("check", "state", "found", "remedy")
    for one in findings:
        state = Text(one.verdict.value, style=_COLOURS[one.verdict])
        table.add_row(whole(one.check), state, whole(one.found), whole(one.remedy))
    console.print(table)
    counted = Counter(one.verdict for one in findings)
    if counted[Verdict.MISSING]:
        console.print(Text(f"{counted[Verdict.MISSING]} missing: this machine is not ready.", style="bold red"))
    else:
        warnings = f"{counted[Verdict.WARN]} warning{'' if counted[Verdict.WARN] == 1 else 's'}"
        console.print(Text(f"Everything needed is here; {warnings}.", style="bold green"))
