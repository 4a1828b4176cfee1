"""`novakit host`: which compute hosts may join the cloud, and strangers on them, which belong to nobody."""

import argparse
import sys
from pathlib import Path
from typing import TypeAlias
from urllib.parse import quote

import orjson
from rich.console import Console
from rich.table import Table

from novakit.bus import enrolments
from novakit.bus.enrolments import Enrolments
from novakit.cli import paths
from novakit.cli.client import CLOUD, Client, RequestRefused, add_options, client, login_where_it_runs
from novakit.cli.guest import agreed, require_asked
from novakit.cli.scheduling.explain import whole, wide
from novakit.errors import ConfigError

Actions: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
DESCRIPTION = """\
Each compute host joins with a credential of its own, which gives access to that host's part alone.

  novakit host enrol compute-1 --state ./state --into ./compute-1     makes ./compute-1/credentials/agent.compute-1
  novakit host rotate compute-1 --state ./state --into ./compute-1    replaces it; the old one stops working
  novakit host revoke compute-1 --state ./state                       revokes it at once; the guests run on

Run it on the conductor's machine, as the conductor's user. Copy DIR to the host and start the agent with --state DIR.

A stranger on a host is what belongs to nobody there, such as a disk without a domain, or the networks of a deployment
whose state directory is gone, and stays until you remove it.  So does an operation whose server is gone.
Guests that belong to nobody are in `novakit guest list`.

  novakit host strangers                              list them
  novakit host remove 5f0c...                         remove it, after a question
"""
STRANGERS = """\
List what hosts keep under ids that the database does not know, and operations whose servers are gone.
Guests are not among it: `novakit guest list` shows those.
It asks all hosts.  Exits with 1 when there is anything, or when a host could not be asked.
"""
REMOVE = """\
Remove all that a host keeps under an id that the database does not know: domain, disks, files; or all that a lost
deployment has left of its networks there; or end an operation whose server is gone.  It cannot be brought back.
Asks first; --yes answers.
"""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `novakit host` to the command line."""
    parser = subparsers.add_parser(
        "host",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_strangers(add_actions(parser, "agent:", "HOST"))


def _add_strangers(actions: Actions) -> None:
    raw = argparse.RawDescriptionHelpFormatter
    listing = actions.add_parser(
        "strangers", help="list what hosts keep that belongs to nobody", description=STRANGERS, formatter_class=raw
    )
    listing.set_defaults(func=list_strangers)
    remove = actions.add_parser("remove", help="remove strangers from hosts", description=REMOVE, formatter_class=raw)
    remove.add_argument("ids", metavar="ID", nargs="+", help="the owner, as `novakit host strangers` shows it")
    remove.add_argument("--host", metavar="HOST", help="the host, when several have something with this id")
    remove.add_argument("--yes", action="store_true", help="do not ask")
    remove.set_defaults(func=remove_strangers)
    for parser in (listing, remove):
        add_options(parser)


def list_strangers(args: argparse.Namespace) -> int:
    """Print what belongs to nobody. Returns 1 when there is anything, or a host could not be asked."""
    told = client(args).get("novakit", "v1/strangers")
    found, unchecked = told["strangers"], told["unchecked"]
    if args.format == "json":
        sys.stdout.buffer.write(orjson.dumps(told, option=orjson.OPT_INDENT_2) + b"\n")
        return 1 if found or unchecked else 0
    if found:
        table = Table("kind", "name", "host", "owner", "why")
        for each in found:
            cells = (each["kind"], each["name"], each["host"] or "-", each["owner"] or "-", each["problem"])
            table.add_row(*map(whole, cells))
        wide().print(table)
    else:
        print("Nothing on the hosts that answered belongs to nobody.")
    for host in unchecked:
        print(f"The host {host} could not be asked; start its agent and look again.")
    for host in told.get("untold", ()):
        print(f"The network driver of the host {host} does not say what lost deployments have left there.")
    return 1 if found or unchecked else 0


def remove_strangers(args: argparse.Namespace) -> int:
    """Remove what was named. Returns 1 when something could not be, 2 when the answer was no."""
    cloud = client(args)
    asked = None
    if not args.yes:
        things = cloud.get("novakit", "v1/strangers")["strangers"]
        named = [each for each in things if {each["owner"], each["name"]} & {*args.ids}]
        # Whatever of it was named, all that its owner has on a host goes together.
        going = {(each["owner"], each["host"]) for each in named if args.host in (None, each["host"])}
        shown = [each for each in things if (each["owner"], each["host"]) in going]
        for each in shown:
            print(f"{each['owner']}  {each['kind']} {each['name']} on {each['host'] or 'no host'}")
        what = "it" if len(going) == 1 else f"these {len(going)}"
        if going and not agreed(f"Remove all of {what}? [y/N] "):
            raise ConfigError("Nothing was removed.")
        asked = {each[name] for each in shown for name in ("owner", "name")}
    suffix = f"?host={quote(args.host, safe='')}" if args.host else ""
    outcomes = []
    for id in args.ids:
        try:
            require_asked(id, asked, "novakit host strangers")
            cloud.send("DELETE", "novakit", f"v1/strangers/{quote(id, safe='')}{suffix}")
            outcomes.append({"id": id, "outcome": "removed", "why": ""})
        except RequestRefused as error:
            outcomes.append({"id": id, "outcome": "refused", "why": str(error)})
        if args.format == "table":
            print(f"{id}  {outcomes[-1]['outcome']}  {outcomes[-1]['why']}".rstrip(), flush=True)
    if args.format == "json":
        sys.stdout.buffer.write(orjson.dumps(outcomes, option=orjson.OPT_INDENT_2) + b"\n")
    return 1 if any(each["outcome"] == "refused" for each in outcomes) else 0


def add_actions(parser: argparse.ArgumentParser, prefix: str, metavar: str) -> Actions:
    """Add enrol, rotate, revoke and list for participants whose identity begins with `prefix`. Returns where to add."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    helps = {
        "enrol": "make a credential, to be copied to where it is used",
        "rotate": "replace a credential; the old one stops working at once",
        "revoke": "end a credential at once, and disconnect the process that uses it",
    }
    for action, text in helps.items():
        each = actions.add_parser(action, help=text)
        each.add_argument("name", metavar=metavar, nargs="+", help=f"one or more {metavar.lower()}s")
        _add_state(each)
        if action != "revoke":
            each.add_argument(
                "--into",
                metavar="DIR",
                type=paths.absolute,
                required=True,
                help="state directory of the process that is to join",
            )
            each.add_argument(
                "--bus",
                metavar="SOCKET",
                type=paths.absolute,
                help="path of the bus socket as that process reaches it; default DIR/bus.sock of --state",
            )
        each.set_defaults(func=_done, action=action, prefix=prefix)
    each = actions.add_parser("list", help="list who is enrolled")
    _add_state(each)
    each.set_defaults(func=_listed, prefix=prefix)
    return actions


def _add_state(parser: argparse.ArgumentParser) -> None:
    text = "the control plane's state directory; default %(default)s"
    parser.add_argument("--state", metavar="DIR", type=paths.absolute, default="state", help=text)


def _enrolments(state: Path) -> Enrolments:
    state = paths.existing(state)
    return Enrolments(paths.resolved(state))


def _done(args: argparse.Namespace) -> int:
    """Enrol, rotate or revoke; print what became of each."""
    known = _enrolments(args.state)
    names = [f"{args.prefix}{enrolments.host_name(name)}" for name in args.name]
    if not args.prefix and (strange := sorted(set(names) - set(enrolments.ROLES))):
        raise ConfigError(f"No role {strange[0]} joins with a credential; {' and '.join(enrolments.ROLES)} do.")
    for name in names:
        if args.action == "revoke":
            known.revoke(name)
            print(f"{name} may not join any more; a process that joined as {name} is disconnected within a second.")
            continue
        if args.prefix and paths.resolved(args.into) == known.state:
            raise ConfigError(f"{args.into} is the control plane's directory; give the host a directory of its own.")
        enrolments.require_place(enrolments.directory(args.into))
        make = known.enrol if args.action == "enrol" else known.rotate
        path = enrolments.write(make(name, bus=args.bus), enrolments.directory(args.into))
        print(f"{name} joins with {path}; anybody who can read it can join as {name}.")
    return 0


def _listed(args: argparse.Namespace) -> int:
    """Print everybody who is enrolled, and of hosts, while the service runs, which ones it refuses."""
    known = [one for one in _enrolments(args.state).everybody() if one.participant.startswith(args.prefix)]
    table = Table("name", "enrolled", "digest of the credential")
    for one in known:
        if args.prefix or ":" not in one.participant:
            name = one.participant.removeprefix(args.prefix)
            table.add_row(name, one.since.strftime("%Y-%m-%d %H:%M:%S"), one.digest[:16])
    Console(file=sys.stdout, soft_wrap=True, highlight=False).print(table)
    cloud = login_where_it_runs(paths.existing(args.state), CLOUD) if args.prefix else None
    if isinstance(cloud, Client):
        try:
            refused = cloud.get("novakit", "v1/guests")["refused_hosts"]
        except ConfigError as error:
            print(f"Which hosts the service refuses is not known: {error}", file=sys.stderr)
            return 0
        for each in refused:
            print(f"{each['host']} is refused. {each['why']}")
    return 0
