"""`novakit simulate`: replay a trace of requests under another set of filters and weighers, and compare."""

import argparse
import asyncio
import sys
from collections.abc import Mapping
from typing import Any

import attrs
import orjson
from rich.table import Table
from rich.text import Text

from novakit import config
from novakit.cli import paths
from novakit.cli.client import add_options, client
from novakit.cli.scheduling.explain import wide
from novakit.errors import ConfigError
from novakit.plughost import PluginChoice, PluginHost
from novakit.scheduler.pipeline.compose import Offered, PipelineOptions
from novakit.scheduler.plugins import chosen, driver, offered, refused
from novakit.scheduler.whatif import lines
from novakit.scheduler.whatif import simulate as engine

SHOWN = 10
"""Requests that went differently, in the table."""
TOLD = 100
"""And in JSON."""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `novakit simulate` to the command line."""
    parser = subparsers.add_parser(
        "simulate",
        description="Replay TRACE with novakit's defaults, and with the filters, weighers, strategy and driver"
        " that are given, and compare.",
    )
    parser.add_argument("trace", metavar="TRACE", type=paths.absolute, help="a file of one JSON object a line")
    parser.add_argument("--record", action="store_true", help="write what the running service decided to TRACE")
    parser.add_argument("--filters", metavar="A,B", help="names of filters, in order")
    parser.add_argument("--weighers", metavar="A=1,B=-2", help="names of weighers, each with its multiplier")
    parser.add_argument("--strategy", choices=("spread", "stack"), help="default spread")
    parser.add_argument("--driver", metavar="NAME", help="name of the scheduler driver that decides")
    parser.add_argument(
        "--config", metavar="FILE", type=paths.absolute, help="take [scheduler] and the plugins' options of this file"
    )
    add_options(parser)
    parser.set_defaults(func=simulate)


def simulate(args: argparse.Namespace) -> int:
    """Print both outcomes side by side. Returns 1 when the new set fails more requests."""
    fields = _fields(args)
    if args.record:
        return _record(args)
    try:
        with args.trace.open("rb") as found:
            trace = lines.read(found)
    except OSError as error:
        raise ConfigError(f"{args.trace} cannot be read: {error.strerror}.") from error
    section = _section(args, fields)
    choice = PluginChoice.read(fields.get("plugins", {}), scheduler=section.driver)
    plugins = PluginHost.load(choice, ("scheduler",))
    filters = [offered(one) for one in plugins.filters.values()]
    weighers = [offered(one) for one in plugins.weighers.values()]

    def replay(options: PipelineOptions, decides: Offered | None = None) -> engine.Result:
        return asyncio.run(engine.replay(trace, filters, weighers, options, refused(plugins), decides))

    before = replay(PipelineOptions())
    given = _given(args) if args.config is None else chosen(section, fields.get("options", {}))
    after = replay(given, driver(plugins, section))
    told = {"defaults": before.plain(), "given": after.plain()}
    differently = engine.differences(before, after, TOLD)
    if args.format == "json":
        said = {**told, "differently": differently}
        sys.stdout.buffer.write(orjson.dumps(said, option=orjson.OPT_INDENT_2) + b"\n")
    else:
        _show(told, differently)
    return 1 if after.failed > before.failed else 0


def _fields(args: argparse.Namespace) -> dict[str, Any]:
    """Read the configuration that is named. Raises ConfigError for options that would not count."""
    given = [name for name in ("filters", "weighers", "strategy", "driver", "config") if getattr(args, name)]
    if args.record and given:
        raise ConfigError(f"--record writes what was decided; --{given[0]} is for the replay.")
    if args.config is None:
        return {}
    if lost := [name for name in given if name in ("filters", "weighers", "strategy")]:
        raise ConfigError(f"--config and --{lost[0]} both say what decides; give one of them.")
    paths.require_config(args.config)
    return config.read(args.config)


def _section(args: argparse.Namespace, fields: Mapping[str, Any]) -> config.SchedulerOptions:
    """Return `[scheduler]` of the file, with the driver of the command line."""
    section = fields.get("scheduler") or config.SchedulerOptions()
    return attrs.evolve(section, driver=args.driver) if args.driver else section


def _given(args: argparse.Namespace) -> PipelineOptions:
    weighers = _multipliers(args.weighers) if args.weighers else None
    numbers = {name: number for name, number in (weighers or {}).items() if number is not None}
    return PipelineOptions(
        filters=tuple(args.filters.split(",")) if args.filters else None,
        weighers=None if weighers is None else tuple(weighers),
        weigher_options=config.weigher_options({}, numbers),
        placement_strategy=args.strategy or "spread",
    )


def _multipliers(text: str) -> dict[str, float | None]:
    """Return the multiplier by name; None, which is the weigher's own, for a name alone."""
    found: dict[str, float | None] = {}
    for part in text.split(","):
        name, _, number = part.partition("=")
        try:
            found[name.strip()] = float(number) if number else None
        except ValueError:
            raise ConfigError(f"--weighers has {part!r}; write NAME=NUMBER.") from None
    return found


def _record(args: argparse.Namespace) -> int:
    entries = client(args).get("novakit", "v1/trace")["trace"]
    try:
        args.trace.write_bytes(b"".join(orjson.dumps(entry) + b"\n" for entry in entries))
    except OSError as error:
        raise ConfigError(f"{args.trace} cannot be written: {error.strerror}.") from error
    print(f"wrote {len(entries)} entries to {args.trace}")
    return 0


def _show(told: Mapping[str, Mapping[str, object]], differently: Mapping[str, Any]) -> None:
    console = wide()
    table = Table("", *told)
    for key in dict.fromkeys(key for one in told.values() for key in one):
        cells = (one.get(key, "-") for one in told.values())
        table.add_row(key.replace("_", " "), *(Text(_cell(cell)) for cell in cells))
    console.print(table)
    if not differently["count"]:
        console.print(Text("Every request went the same way."))
        return
    first = differently["first"][:SHOWN]
    many = "1 request" if differently["count"] == 1 else f"{differently['count']} requests"
    rest = f"; the first {len(first)}:" if differently["count"] > len(first) else ":"
    console.print(Text(f"{many} went differently{rest}", style="bold"))
    listed = Table("at", "server", *told)
    for one in first:
        went = (one["before"], one["after"])
        listed.add_row(f"{one['at']:g}", Text(one["server"]), *(Text(_went(answer)) for answer in went))
    console.print(listed)


def _went(answer: Mapping[str, str]) -> str:
    return answer["host"] if "host" in answer else f"refused by {answer['refused']}"


def _cell(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{count} {name}" for name, count in value.items()) or "-"
    return str(value)
