"""The command line: one module per command, each with `register(subparsers)`."""

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import NamedTuple

from novakit import __version__
from novakit.errors import NovakitError


class Command(NamedTuple):
    """What `novakit --help` says of a command, which is imported once somebody names it."""

    module: str
    """Its module, below this one."""
    help: str


COMMANDS = {
    "serve": Command("serve", "run the service"),
    "host": Command("host", "enrol compute hosts, rotate and revoke their credentials, remove strangers from them"),
    "role": Command("role", "rotate and revoke the credentials of api and scheduler processes"),
    "doctor": Command("doctor", "see what this machine can and cannot do, with a remedy per line"),
    "plugin": Command("plugin", "list the installed plugins"),
    "explain": Command("scheduling.explain", "say why a server is where it is, or where one would go"),
    "audit": Command("audit", "find orphans: claims, guests, ports, disks and files that belong to no server"),
    "admin": Command("admin", "regain access: reset a password, restore the administrator"),
    "policy": Command("policy", "show the policy rules, and whom each of them allows"),
    "config": Command("config", "translate a nova.conf, or check novakit.toml"),
    "guest": Command("guest", "list, adopt or remove guests that the database does not know"),
    "image": Command("image", "build images, and adopt or remove image files without an image"),
    "flavor": Command("flavor", "read and build flavor names"),
    "capacity": Command("scheduling.capacity", "count how many more servers of a flavor fit"),
    "simulate": Command(
        "scheduling.simulate",
        "replay a trace of requests under other filters and weighers, or another scheduler driver",
    ),
}

EPILOG = """\
first steps:
  novakit serve --state ./state          start a whole cloud in one process; it simulates hosts
  export OS_CLIENT_CONFIG_FILE=./state/clouds.yaml OS_CLOUD=novakit
  openstack flavor list                  talk to it with the ordinary client
  novakit doctor                         see what this machine can and cannot do, with a remedy per line
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns its exit code: 0 done, 1 not as it should be, 2 asked wrongly."""
    parser = argparse.ArgumentParser(
        prog="novakit",
        description="A compute service made of plugins, compatible with OpenStack clients.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"novakit {__version__}")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    given = list(sys.argv[1:] if arguments is None else arguments)
    # Only the command that is named is imported: to import all of them takes a second.
    if given[:1] == ["--"]:
        del given[0]
    if given and given[0] in COMMANDS:
        importlib.import_module(f"novakit.cli.{COMMANDS[given[0]].module}").register(subparsers)
    else:
        for name, command in COMMANDS.items():
            subparsers.add_parser(name, help=command.help)
    options = parser.parse_args(given)
    try:
        return int(options.func(options))
    except NovakitError as error:
        return _failed(str(error))
    except Exception as error:
        from novakit.config.failures import sentence

        if (said := sentence(error, _of_database)) is None:
            raise
        return _failed(said)
    except KeyboardInterrupt:
        return 130


def _of_database(error: BaseException) -> str | None:
    if "sqlalchemy" not in sys.modules:  # an agent has no database, and need not load what speaks to one
        return None
    from novakit.store.opening import why_not

    return why_not(error)


def _failed(sentence: str) -> int:
    print(f"novakit: {sentence}", file=sys.stderr)
    return 2
