"""`novakit plugin list`: every plugin, how it stands, and why."""

import argparse
import logging
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import orjson
import structlog
from rich.console import Console
from rich.table import Table
from rich.text import Text

from novakit import config
from novakit.cli import paths, running
from novakit.errors import ConfigError
from novakit.plughost import PluginChoice, PluginHost, PluginRow, offerings, settled, tables

_WIDE = 120
"""Characters in a line when nobody's terminal says how many there are."""
_COLOURS = {"active": "green", "disabled": "dim", "absent": "yellow"}


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `novakit plugin` to the command line."""
    plugin = subparsers.add_parser(
        "plugin",
        description="Everything that decides, drives or observes is a plugin: list them with their states.",
    )
    actions = plugin.add_subparsers(dest="action", required=True)
    listing = actions.add_parser(
        "list",
        help="list every plugin with its state and the reason",
        description="Ask the service that runs on DIR, or load the plugins as novakit serve would with these options,"
        " and show the state of each.",
    )
    listing.add_argument("--state", metavar="DIR", type=paths.absolute, default="state", help="where all state lives")
    listing.add_argument(
        "--config", metavar="FILE", type=paths.absolute, help="options in TOML; default DIR/novakit.toml"
    )
    listing.add_argument(
        "--driver", help="the virt driver in use; default the running service's, else the standard one"
    )
    listing.add_argument("--network", help="the network driver in use; follows --driver")
    listing.add_argument("--format", choices=("table", "json"), default="table")
    listing.set_defaults(func=list_plugins)


def list_plugins(args: argparse.Namespace) -> int:
    """Print the plugins. Raises ConfigError when the configuration is wrong."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    paths.require_config(args.config)
    told = None if args.config or args.driver or args.network else running.ask(args.state)
    if told is not None:
        _print(told.plugins, args.format)
        return 0
    fields = config.read(args.config or args.state / "novakit.toml")
    section = fields.get("scheduler") or config.SchedulerOptions()
    choice = PluginChoice.read(
        fields.get("plugins", {}), driver=args.driver, network=args.network, scheduler=section.driver
    )
    installed = offerings()
    choice = settled(choice, installed).chosen(choice)
    tables.check(fields.get("options", {}), choice, config.ROLES)
    host = PluginHost.survey(choice, among=installed)
    wrong = _look(host, section, fields)
    _print(host.rows(), args.format)
    for sentence in wrong:
        print(f"novakit serve would not start with these options: {sentence}", file=sys.stderr)
    return 0


def _print(rows: Sequence[PluginRow], form: str) -> None:
    if form == "json":
        sys.stdout.buffer.write(orjson.dumps([attrs.asdict(row) for row in rows], option=orjson.OPT_INDENT_2) + b"\n")
    else:
        console = Console()
        Console(width=None if console.is_terminal else _WIDE).print(_table(rows))


def _look(host: PluginHost, section: config.SchedulerOptions, fields: Mapping[str, Any]) -> Sequence[str]:
    """Note which filters and weighers are in force. Returns the sentences with which a start would end."""
    from novakit.scheduler import plugins

    try:
        return plugins.look(host, section, fields.get("options", {}))
    except ConfigError as error:
        return [str(error)]


def _table(rows: Sequence[PluginRow]) -> Table:
    table = Table()
    for title in ("Plugin", "Distribution", "State"):
        table.add_column(title, overflow="fold", max_width=24)
    table.add_column("Offers, or why not", overflow="fold", ratio=1)
    for row in rows:
        table.add_row(
            Text(f"{row.group}:{row.name}"),
            Text(f"{row.distribution} {row.version}"),
            Text(row.state, style=_COLOURS.get(row.state, "red")),
            Text("\n").join(told for told in (Text(row.reason), _offered(row)) if told.plain),
        )
    return table


def _offered(row: PluginRow) -> Text:
    """Name what is on, and after it in brackets what is not."""
    off = row.off.split(", ") if row.off else []
    on = [name for name in row.offers.split(", ") if name and name not in off]
    told = Text(", ".join(on))
    if off:
        told.append(f"{' ' if on else ''}(off: {', '.join(off)})", style="dim")
    return told
