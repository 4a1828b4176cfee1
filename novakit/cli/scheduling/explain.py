"""`novakit explain`: why a server is where it is or nowhere, and what would happen to one that is not there yet."""

import argparse
import sys
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from uuid import UUID

import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from novakit.calls.decisions import DecisionRecord, DecisionStage, HostWeight, read
from novakit.cli.client import Client, RequestRefused, add_options, client
from novakit.errors import ConfigError


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `novakit explain` to the command line."""
    parser = subparsers.add_parser(
        "explain",
        description="With SERVER or DECISION: show what was decided. With --flavor: a dry run, which makes nothing.",
    )
    parser.add_argument(
        "server",
        metavar="SERVER|DECISION",
        nargs="?",
        help="id or name of a server, or id of a decision, as a server's fault names it",
    )
    parser.add_argument("--flavor", help="name or id of a flavor, for a dry run")
    parser.add_argument("--image", help="id of an image")
    parser.add_argument("--project", help="id or name of the project it would belong to")
    parser.add_argument("--zone", help="availability zone")
    parser.add_argument("--host", help="the only host to look at")
    parser.add_argument("--group", help="id of a server group")
    parser.add_argument(
        "--hint",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="scheduler hint; may be repeated, and the same key twice makes a list",
    )
    add_options(parser)
    parser.set_defaults(func=explain)


def explain(args: argparse.Namespace) -> int:
    """Print the decisions. Returns 1 when there is none, or when no host was found."""
    if args.server is not None and not args.server.strip():
        raise ConfigError("SERVER is empty; give a server's id or name, or the id of a decision.")
    if bool(args.server) == bool(args.flavor):
        raise ConfigError("Give either a server or decision, or --flavor for a dry run.")
    if args.hint and not args.flavor:
        raise ConfigError("--hint is for a dry run; give --flavor, too.")
    service = client(args)
    found = _past(service, args.server) if args.server else [_possible(service, args)]
    decisions = [read(one) for one in found]
    if args.format == "json":
        sys.stdout.buffer.write(orjson.dumps(found, option=orjson.OPT_INDENT_2) + b"\n")
    elif not decisions:
        print(f"There is no decision about {args.server}; old ones are dropped after a while.", file=sys.stderr)
    else:
        for decision in decisions:
            print_decision(decision, wide())
    return 0 if decisions and not decisions[0].message else 1


def _past(service: Client, wanted: str) -> list[dict[str, object]]:
    """Return the decisions about a server, by its id or name, or the one decision of that id."""
    if _is_id(wanted):
        found: list[dict[str, object]] = service.get("novakit", "v1/decisions", server_id=wanted)["decisions"]
        if found:
            return found
        try:
            return [service.get("novakit", f"v1/decisions/{wanted}")["decision"]]
        except RequestRefused as error:
            if error.status_code != HTTPStatus.NOT_FOUND:
                raise
            return []
    named: list[dict[str, object]] = service.get("novakit", "v1/decisions", server_id=_named(service, wanted))[
        "decisions"
    ]
    return named


def _is_id(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False


def _named(service: Client, name: str) -> str:
    """Find the one server of that name. Raises ConfigError where there is none or more than one."""
    try:
        found = service.get("compute", "v2.1/servers", all_tenants="1", name=name)["servers"]
    except RequestRefused as error:
        if error.status_code != HTTPStatus.FORBIDDEN:
            raise
        found = service.get("compute", "v2.1/servers", name=name)["servers"]
    ids = [server["id"] for server in found if server["name"] == name]
    if len(ids) == 1:
        return str(ids[0])
    if ids:
        raise ConfigError(f"{len(ids)} servers are named {name}; give the id of one: {', '.join(ids)}.")
    raise ConfigError(f"No server is named {name}; ask for a deleted server by its id.")


def _possible(service: Client, args: argparse.Namespace) -> dict[str, object]:
    asked = {
        "flavor": args.flavor,
        "image": args.image,
        "project_id": args.project,
        "availability_zone": args.zone,
        "host": args.host,
        "group": args.group,
        "hints": _hints(args.hint) or None,
    }
    body = {name: value for name, value in asked.items() if value is not None}
    told: dict[str, object] = service.post("novakit", "v1/explain", body)["decision"]
    return told


def _hints(given: Iterable[str]) -> dict[str, object]:
    """Return hints by key, a list where a key comes more than once. Raises ConfigError for one without a value."""
    found: dict[str, list[str]] = {}
    for one in given:
        key, mark, value = one.partition("=")
        if not key or not mark:
            raise ConfigError(f"--hint has {one!r}; write KEY=VALUE.")
        found.setdefault(key, []).append(value)
    return {key: values[0] if len(values) == 1 else values for key, values in found.items()}


def wide() -> Console:
    """Return a console that wraps at the terminal's edge, and hardly at all where there is none."""
    console = Console()
    return console if console.is_terminal else Console(width=200)


def whole(text: str) -> Text:
    """Return a cell that is folded where it does not fit: an id or a command of which a part is cut off is none."""
    return Text(text, overflow="fold")


def print_decision(decision: DecisionRecord, console: Console) -> None:
    """Print one decision for people."""
    console.print(Text(_headline(decision), style="bold"))
    console.print(_filters(decision.filters))
    if decision.weights:
        console.print(_weights(decision.weights))
    if decision.devices:
        devices = ", ".join(f"{one.address} ({one.kind})" for one in decision.devices)
        console.print(Text(f"given devices: {devices}"))
    if decision.nearest is not None:
        console.print(Text(f"nearest miss: {decision.nearest.host}"))
        for miss in decision.nearest.misses:
            wanted = f"; it would fit with {miss.remedy}" if miss.remedy else ""
            console.print(Text(f"  {miss.filter}: {miss.message}{wanted}"))
    if decision.next_best_of:
        console.print(Text(f"taken as the next best host of decision {decision.next_best_of}, whose host failed"))
    for conflict in decision.conflicts:
        console.print(Text(f"tried before: {conflict.host}, {conflict.why}"))


def _headline(decision: DecisionRecord) -> str:
    when = f"{decision.at}  " if decision.at else ""
    if decision.message:
        return f"{when}{decision.message}"
    is_past = bool(decision.id)
    if decision.host:
        others = ", ".join(decision.alternates or ())
        if is_past:
            return f"{when}placed on {decision.host}" + (f"; next best: {others}" if others else "")
        equal = decision.equally_good
        others_as_good = "another one that is" if equal == 2 else f"one of {equal - 1} others that are"
        good = f" or {others_as_good} as good" if equal else ""
        return f"{when}it would go to {decision.host}{good}" + (f"; next best: {others}" if others else "")
    zone = decision.availability_zone
    where = f"{'placed' if is_past else 'it would be placed'}{f' in zone {zone}' if zone else ''}"
    fit = f"{_fitting(decision)} of {decision.hosts} hosts fit"
    return f"{when}{where}; {fit}, administrators see which it {'was' if is_past else 'would be'}"


def _fitting(decision: DecisionRecord) -> int:
    """Return how many hosts the last filter left over."""
    return decision.filters[-1].after if decision.filters else decision.hosts


def _filters(stages: Iterable[DecisionStage]) -> Table:
    table = Table("filter", "hosts before", "after", "ms", "why")
    for stage in stages:
        if not stage.asked:
            continue
        reasons = "\n".join(f"{reason.count} {reason.message}" for reason in stage.reasons)
        time = f"{stage.ms:.3f}" if stage.ms else ""
        cells = [str(stage.before), str(stage.after), time, stage.broken or reasons]
        table.add_row(Text(stage.name), *(Text(cell) for cell in cells))
    return table


def _weights(hosts: Sequence[HostWeight]) -> Table:
    names = [name for name in hosts[0].by if any(one.by.get(name) for one in hosts)]
    table = Table("host", "weight", *names)
    for one in hosts:
        table.add_row(Text(one.host), f"{one.total:g}", *(f"{one.by.get(name, 0):g}" for name in names))
    return table
