"""The command line: one module per command, each with `register(subparsers)`."""

import argparse
import importlib
import sys
from collections.abc import Sequence

from novakit import __version__
from novakit.errors import NovakitError

COMMANDS = {
    "serve": "serve",
    "host": "host",
    "role": "role",
    "doctor": "doctor",
    "plugin": "plugin",
    "explain": "scheduling.explain",
    "audit": "audit",
    "admin": "admin",
    "policy": "policy",
    "config": "config",
    "guest": "guest",
    "image": "image",
    "flavor": "flavor",
    "capacity": "scheduling.capacity",
    "simulate": "scheduling.simulate",
}
"""By name of a command, its module below this one."""

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
    # A command that is named is the only one imported: what the others need costs half a second and is not its part.
    for name in given[:1] if given[:1] and given[0] in COMMANDS else COMMANDS:
        importlib.import_module(f"novakit.cli.{COMMANDS[name]}").register(subparsers)
    options = parser.parse_args(given)
    try:
        return int(options.func(options))
    except NovakitError as error:
        return _failed(str(error))
    except Exception as error:
        from novakit.config.failures import sentence

        if (said := sentence(error)) is None:
            raise
        return _failed(said)
    except KeyboardInterrupt:
        return 130


def _failed(sentence: str) -> int:
    print(f"novakit: {sentence}", file=sys.stderr)
    return 2
