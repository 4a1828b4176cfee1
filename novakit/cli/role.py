"""`novakit role`: credentials for roles that run as processes of their own."""

import argparse

from novakit.cli.host import add_actions

DESCRIPTION = """\
An API and a scheduler that run as processes of their own join with a credential each.
The conductor makes both below its own state directory; only a role that runs as another user needs this command:

  novakit role rotate scheduler --state ./state --into /var/lib/novakit-scheduler
"""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `novakit role` to the command line."""
    parser = subparsers.add_parser(
        "role",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_actions(parser, "", "ROLE")
