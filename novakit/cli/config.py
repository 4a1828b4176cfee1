"""`novakit config`: translate a nova.conf, or check novakit.toml."""

import argparse
import logging
import sys
from pathlib import Path

import structlog

from novakit import config
from novakit.cli import paths
from novakit.config import files, nova_conf
from novakit.config.quoting import printable
from novakit.config.spellings import Document
from novakit.errors import ConfigError

IMPORT = """\
Translate a nova.conf into a novakit.toml on standard output; list on standard error what is left out, and why.

  novakit config import /etc/nova/nova.conf > state/novakit.toml
"""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `novakit config` to the command line."""
    parser = subparsers.add_parser(
        "config",
        description="Translate the configuration of another compute service, or check this one's.",
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    bring = actions.add_parser(
        "import",
        help="translate a nova.conf",
        description=IMPORT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    bring.add_argument("file", metavar="FILE", type=paths.absolute, help="the nova.conf")
    bring.set_defaults(func=bring_in)
    check = actions.add_parser(
        "check",
        help="check novakit.toml",
        description="Read the options as `novakit serve` does; exits with 2 and says why when it would refuse them.",
    )
    check.add_argument(
        "--state", metavar="DIR", type=paths.absolute, default=paths.absolute("state"), help="where all state lives"
    )
    check.add_argument(
        "--config", metavar="FILE", type=paths.absolute, help="options in TOML; default DIR/novakit.toml"
    )
    check.set_defaults(func=look)


def bring_in(args: argparse.Namespace) -> int:
    """Translate. Returns 0, or 2 where the file cannot be read."""
    content = files.read_text(args.file)
    if content is None:
        raise ConfigError(f"{args.file} does not exist; correct the path.")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    translated = nova_conf.translate(content, _require_order)
    print(translated.toml())
    for sentence in translated.left_out:
        print(f"left out: {printable(sentence)}.", file=sys.stderr)
    return 0


def look(args: argparse.Namespace) -> int:
    """Check. Returns 0 when all is in order. Raises ConfigError where it is not."""
    path = args.config or args.state / "novakit.toml"
    if files.read_text(path) is None:
        paths.require_config(args.config)
        print(f"There is no {path}; every option has its default.")
        return 0
    from novakit import app

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    chosen = config.Config(state=paths.resolved(args.state), **config.read(path))
    app.look_ahead(chosen)
    for sentence in chosen.warnings:
        print(printable(sentence))
    print(f"{path} is in order.")
    return 0


def _require_order(document: Document) -> None:
    """Raise ConfigError for what `novakit serve` would refuse, in a directory that has nothing else."""
    from novakit import app

    written = Path("novakit.toml")
    try:
        fields = config.understood(document, written)
        app.look_ahead(config.Config(state=Path("/nonexistent"), roles=("scheduler", "agent"), **fields))
    except ConfigError as error:
        raise ConfigError(str(error).removeprefix(f"{written}: ")) from error
