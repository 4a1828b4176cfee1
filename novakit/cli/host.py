"""`novakit host`: which compute hosts may join the cloud."""

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from novakit.bus import enrolments
from novakit.bus.enrolments import Enrolments
from novakit.cli import paths
from novakit.errors import ConfigError

DESCRIPTION = """\
Each compute host joins with a credential of its own, which opens nothing but its own part.

  novakit host enrol compute-1 --state ./state --into ./compute-1     makes ./compute-1/credentials/agent.compute-1
  novakit host rotate compute-1 --state ./state --into ./compute-1    replaces it; the old one opens nothing any more
  novakit host revoke compute-1 --state ./state                       ends it at once; its guests run on

Run it as the user of the conductor, on its machine. Carry DIR to the host and start the agent with --state DIR.
"""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `novakit host` to the command line."""
    parser = subparsers.add_parser(
        "host",
        help="enrol compute hosts, rotate and revoke their credentials",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_actions(parser, "agent:", "HOST")


def add_actions(parser: argparse.ArgumentParser, prefix: str, metavar: str) -> None:
    """Add enrol, rotate, revoke and list for participants whose identity begins with `prefix`."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    helps = {
        "enrol": "make a credential, to be carried there",
        "rotate": "replace a credential; the old one ends at once",
        "revoke": "end a credential at once; who joined with it is hung up on",
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
                help="state directory of the one that is to join",
            )
            each.add_argument(
                "--bus",
                metavar="SOCKET",
                type=paths.absolute,
                help="the bus as it is reached there; default DIR/bus.sock here",
            )
        each.set_defaults(func=_done, action=action, prefix=prefix)
    each = actions.add_parser("list", help="name everybody who is enrolled")
    _add_state(each)
    each.set_defaults(func=_listed, prefix=prefix)


def _add_state(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--state", metavar="DIR", type=paths.absolute, default="state", help="the control plane's; default %(default)s"
    )


def _enrolments(state: Path) -> Enrolments:
    if not state.is_dir():
        raise ConfigError(f"{state} is not there; --state names the state directory of the conductor.")
    return Enrolments(paths.resolved(state))


def _done(args: argparse.Namespace) -> int:
    """Enrol, rotate or revoke; print what became of each."""
    known = _enrolments(args.state)
    names = [f"{args.prefix}{enrolments.host_name(name)}" for name in args.name]
    if not args.prefix and (strange := sorted(set(names) - set(enrolments.ROLES))):
        raise ConfigError(f"There is no role {strange[0]} that joins; there are {', '.join(enrolments.ROLES)}.")
    for name in names:
        if args.action == "revoke":
            known.revoke(name)
            print(f"{name} may not join any more; a process that joined as {name} is disconnected within a second.")
            continue
        if args.prefix and paths.resolved(args.into) == known.state:
            raise ConfigError(f"{args.into} is the control plane's; give the host a directory of its own.")
        make = known.enrol if args.action == "enrol" else known.rotate
        path = enrolments.write(make(name, bus=args.bus), enrolments.directory(args.into))
        print(f"{name} joins with {path}; whoever can read it can join as {name}.")
    return 0


def _listed(args: argparse.Namespace) -> int:
    """Print everybody who is enrolled."""
    known = [one for one in _enrolments(args.state).everybody() if one.participant.startswith(args.prefix)]
    table = Table("name", "enrolled", "digest of the credential")
    for one in known:
        if args.prefix or ":" not in one.participant:
            name = one.participant.removeprefix(args.prefix)
            table.add_row(name, one.since.strftime("%Y-%m-%d %H:%M:%S"), one.digest[:16])
    Console(file=sys.stdout, soft_wrap=True, highlight=False).print(table)
    return 0
