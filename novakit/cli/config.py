"""`novakit config`: translate a nova.conf, and look whether novakit.toml is in order."""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from novakit import config
from novakit.cli import paths
from novakit.config import files, nova_conf
from novakit.errors import ConfigError
from novakit.plughost import PluginChoice, tables

IMPORT = """\
Write to standard output what a nova.conf says, as novakit.toml; say on standard error what is left out and why.

  novakit config import /etc/nova/nova.conf > state/novakit.toml
"""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `novakit config` to the command line."""
    parser = subparsers.add_parser(
        "config",
        help="translate a nova.conf, check novakit.toml",
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
        help="look whether novakit.toml is in order",
        description="Read the options as novakit serve does; 2 with a sentence when it would refuse them.",
    )
    check.add_argument(
        "--state", metavar="DIR", type=paths.absolute, default=paths.absolute("state"), help="where all state lives"
    )
    check.add_argument(
        "--config", metavar="FILE", type=paths.absolute, help="options in TOML; default DIR/novakit.toml"
    )
    check.set_defaults(func=look)


def bring_in(args: argparse.Namespace) -> int:
    """Translate; 0, or 2 where the file cannot be read."""
    content = files.read_text(args.file)
    if content is None:
        raise ConfigError(f"{args.file} does not exist.")
    translated = nova_conf.translate(content)
    with tempfile.TemporaryDirectory() as directory:
        written = Path(directory) / "novakit.toml"
        written.write_text(translated.toml())
        _require_order(written)
    print(translated.toml())
    for sentence in translated.left_out:
        print(f"left out: {sentence}.", file=sys.stderr)
    return 0


def look(args: argparse.Namespace) -> int:
    """Check; 0 when all is in order."""
    path = args.config or args.state / "novakit.toml"
    if not path.exists() and not path.is_symlink():
        if args.config:
            raise ConfigError(f"--config {path} does not exist.")
        print(f"There is no {path}; everything has its default.")
        return 0
    fields = _require_order(path)
    for sentence in fields.get("warnings", ()):
        print(sentence)
    print(f"{path} is in order.")
    return 0


def _require_order(path: Path) -> dict[str, Any]:
    fields = config.read(path)
    choice = PluginChoice.read(fields.get("plugins", {}))
    tables.check(fields.get("options", {}), choice, config.ROLES)
    return fields
