"""`novakit simulate`: replay a trace of requests under another set of filters and weighers, and compare."""

import argparse
import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
from rich.table import Table
from rich.text import Text

from novakit import config
from novakit.cli.client import add_options, client
from novakit.cli.explain import wide
from novakit.errors import ConfigError
from novakit.plughost import PluginChoice, PluginHost
from novakit.scheduler import simulate as engine
from novakit.scheduler.compose import Offered, SchedulerOptions
from novakit.scheduler.plugins import chosen, refused


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `novakit simulate` to the command line."""
    parser = subparsers.add_parser(
        "simulate",
        help="replay a trace of requests under other filters and weighers",
        description="Compares novakit's defaults with the filters, weighers and strategy that are given.",
    )
    parser.add_argument("trace", metavar="TRACE", type=Path, help="a file of one JSON object a line")
    parser.add_argument("--record", action="store_true", help="write TRACE from what the running service decided")
    parser.add_argument("--filters", metavar="A,B", help="names in order")
    parser.add_argument("--weighers", metavar="A=1,B=-2", help="multiplier by name")
    parser.add_argument("--strategy", choices=("spread", "stack"), default="spread")
    parser.add_argument("--config", type=Path, help="take [scheduler] of this file instead")
    add_options(parser)
    parser.set_defaults(func=simulate)


def simulate(args: argparse.Namespace) -> int:
    """Print both outcomes side by side; give 1 when the new set fails more requests."""
    if args.record:
        return _record(args)
    try:
        with args.trace.open("rb") as lines:
            trace = engine.read(lines)
    except OSError as error:
        raise ConfigError(f"{args.trace} cannot be read: {error.strerror}.") from error
    plugins = PluginHost.load(PluginChoice.read({}), ("scheduler",))
    filters = [Offered(one.spec, one.plugin.distribution) for one in plugins.filters.values()]
    weighers = [Offered(one.spec, one.plugin.distribution) for one in plugins.weighers.values()]
    both = {"defaults": SchedulerOptions(), "given": _given(args)}
    told = {
        name: asyncio.run(engine.replay(trace, filters, weighers, options, refused(plugins))).plain()
        for name, options in both.items()
    }
    if args.format == "json":
        sys.stdout.buffer.write(orjson.dumps(told, option=orjson.OPT_INDENT_2) + b"\n")
    else:
        _show(told)
    return 1 if told["given"]["failed"] > told["defaults"]["failed"] else 0


def _given(args: argparse.Namespace) -> SchedulerOptions:
    if args.config is not None:
        fields = config.read(args.config)
        return chosen(fields.get("scheduler") or config.SchedulerOptions(), fields.get("options", {}))
    weighers = _multipliers(args.weighers) if args.weighers else None
    return SchedulerOptions(
        filters=tuple(args.filters.split(",")) if args.filters else None,
        weighers=None if weighers is None else tuple(weighers),
        weigher_options=config.weigher_options({}, weighers),
        placement_strategy=args.strategy,
    )


def _multipliers(text: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for part in text.split(","):
        name, _, number = part.partition("=")
        try:
            found[name.strip()] = float(number or 1)
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


def _show(told: Mapping[str, Mapping[str, Any]]) -> None:
    table = Table("", *told)
    for key in told["defaults"]:
        cells = (one[key] for one in told.values())
        table.add_row(key.replace("_", " "), *(Text(_cell(cell)) for cell in cells))
    wide().print(table)


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{count} {name}" for name, count in value.items()) or "-"
    return str(value)
