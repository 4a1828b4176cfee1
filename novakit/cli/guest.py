"""`novakit guest`: guests on hosts that the database does not know, and what becomes of them."""

import argparse
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import orjson
from rich.table import Table

from novakit.calls.conductor import RefusedHost, Stranger
from novakit.cli.client import Client, RequestRefused, add_options, client
from novakit.cli.scheduling.explain import whole, wide
from novakit.errors import ConfigError
from novakit_hookspecs.plain import to_record

DESCRIPTION = """\
A stranger is a guest on a host without a server in the database: the database was lost, is new, or is an older
backup, or the guest was left over.  Strangers run on, stay wired, and what they take of their host is reserved.
Only you decide whether one becomes a server or is removed:

  novakit guest list                                  list them, and why none became a server by itself
  novakit guest adopt 5f0c...                         make it a server again, from its host's note of it
  novakit guest adopt --all --project demo            adopt all, into the project demo instead of their own
  novakit guest remove 5f0c...                        destroy it, with its disks, after a question
"""
ADOPT = """\
Make a server of a guest that its host has, from the note that the host keeps of it.

The server has the id, name, flavor, image, key, metadata, ports, MACs and addresses that it had.
Networks, routers, floating IPs and security groups that the database does not know are made again, as its host noted
them; what the database has stays as it is.  What cannot be brought back is printed.
The guest itself is not touched.
"""
REMOVE = """\
Destroy a guest without a server in the database, with its disks.  It cannot be brought back.
Asks first; --yes answers.
"""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `novakit guest` to the command line."""
    raw = argparse.RawDescriptionHelpFormatter
    guest = subparsers.add_parser(
        "guest",
        description=DESCRIPTION,
        formatter_class=raw,
    )
    actions = guest.add_subparsers(metavar="ACTION", required=True)
    listing = actions.add_parser(
        "list",
        help="list guests without a server",
        description="List guests without a server; exits with 1 when there are any.",
    )
    listing.set_defaults(func=list_guests)
    adopt = actions.add_parser("adopt", help="make servers of such guests", description=ADOPT, formatter_class=raw)
    adopt.add_argument("--project", metavar="PROJECT", help="name or id of the project; default the guest's own")
    adopt.add_argument("--without-ports", action="store_true", help="do not take back its ports")
    adopt.set_defaults(func=adopt_guests)
    remove = actions.add_parser("remove", help="destroy such guests", description=REMOVE, formatter_class=raw)
    remove.add_argument("--yes", action="store_true", help="do not ask")
    remove.set_defaults(func=remove_guests)
    for parser in (adopt, remove):
        parser.add_argument("ids", metavar="ID", nargs="*", help="id of a guest, as `novakit guest list` names it")
        parser.add_argument("--all", action="store_true", help="every guest that `novakit guest list` names")
        parser.add_argument("--host", metavar="HOST", help="the host, when several have a guest with this id")
    for parser in (listing, adopt, remove):
        add_options(parser)


def list_guests(args: argparse.Namespace) -> int:
    """Print the strangers, and hosts that are refused; 1 when there are any."""
    shown = _unknown(client(args))
    guests, hosts = _guests(shown), to_record(shown["refused_hosts"], tuple[RefusedHost, ...], tolerant=True)
    if args.format == "json":
        sys.stdout.buffer.write(orjson.dumps(shown, option=orjson.OPT_INDENT_2) + b"\n")
    elif guests:
        wide().print(_table(guests))
    else:
        print("Every guest on the hosts of this deployment belongs to a server.")
    for host in hosts if args.format == "table" else ():
        print(f"The host {host.host} has been refused since {host.since}. {host.why}")
    for sentence in shown.get("full", ()) if args.format == "table" else ():
        print(sentence)
    return 1 if guests or hosts else 0


def adopt_guests(args: argparse.Namespace) -> int:
    """Adopt those that were named. Returns 1 when one could not be."""
    cloud = client(args)
    body = {"ports": not args.without_ports}
    body |= {name: value for name, value in (("project", args.project), ("host", args.host)) if value}
    return _each(
        args,
        cloud,
        _named(args, cloud),
        lambda id: cloud.post("novakit", f"v1/guests/{quote(id, safe='')}/adopt", body),
    )


def remove_guests(args: argparse.Namespace) -> int:
    """Remove those that were named. Returns 1 when one could not be, 2 when the answer was no."""
    cloud = client(args)
    ids = _named(args, cloud)
    asked = None
    if not args.yes:
        there = [each for each in _listed(cloud) if args.host in (None, each.host)]
        going = [each for each in there if each.id in {id.lower() for id in ids}]
        for each in going:
            print(f"{each.id}  {each.name or '?'} on {each.host}, {each.power}")
        what = "it" if len(going) == 1 else f"these {len(going)} guests"
        if going and not agreed(f"Destroy {what} with all disks? [y/N] "):
            raise ConfigError("Nothing was removed.")
        asked = {each.id for each in going}
    suffix = f"?host={quote(args.host, safe='')}" if args.host else ""

    def remove(id: str) -> object:
        require_asked(id.lower(), asked, "novakit guest list")
        return cloud.send("DELETE", "novakit", f"v1/guests/{quote(id, safe='')}{suffix}")

    return _each(args, cloud, ids, remove)


def require_asked(id: str, asked: Collection[str] | None, listing: str) -> None:
    """Raise RequestRefused for what the question before it did not name, as it is not there; None is no question."""
    if asked is not None and id not in asked:
        raise RequestRefused(404, f"`{listing}` does not name it.")


def agreed(question: str) -> bool:
    """Ask, and return whether the answer is yes."""
    print(question, end="", flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _unknown(cloud: Client) -> dict[str, Any]:
    found: dict[str, Any] = cloud.get("novakit", "v1/guests")
    return found


def _listed(cloud: Client) -> Sequence[Stranger]:
    return _guests(_unknown(cloud))


def _guests(shown: Mapping[str, object]) -> Sequence[Stranger]:
    return to_record(shown["guests"], tuple[Stranger, ...], tolerant=True)


def _named(args: argparse.Namespace, cloud: Client) -> list[str]:
    if bool(args.ids) == args.all:
        raise ConfigError("Name one or more guests, or give --all.")
    if not args.all:
        return list(args.ids)
    return [each.id for each in _listed(cloud) if args.host in (None, each.host)]


def _each(args: argparse.Namespace, cloud: Client, ids: Sequence[str], ask: Callable[[str], Any]) -> int:
    outcomes = []
    for id in ids:
        try:
            told = ask(id)["guest"]
            outcomes.append({"id": id, "outcome": told["outcome"], "why": "", "left": told["left"]})
        except RequestRefused as error:
            outcomes.append({"id": id, "outcome": "refused", "why": str(error), "left": []})
        if args.format == "table":
            print(
                f"{id}  {outcomes[-1]['outcome']}{'  ' if outcomes[-1]['why'] else ''}{outcomes[-1]['why']}", flush=True
            )
            for sentence in outcomes[-1]["left"]:
                print(f"  {sentence}", flush=True)
    if args.format == "json":
        sys.stdout.buffer.write(orjson.dumps(outcomes, option=orjson.OPT_INDENT_2) + b"\n")
    elif not ids:
        print("There is no such guest.")
    return 1 if any(each["outcome"] == "refused" for each in outcomes) else 0


def _table(found: Sequence[Stranger]) -> Table:
    table = Table("id", "name", "host", "project", "power", "since", "reserved", "why it is not a server")
    for each in found:
        held = ", ".join(f"{amount} {name}" for name, amount in sorted((each.held or {}).items()))
        cells = (each.id, each.name or "-", each.host, each.project_id or "-", each.power)
        since = each.first_seen[:19].replace("T", " ")
        table.add_row(*map(whole, cells), whole(since), whole(held or "nothing"), whole(each.why))
    return table
