"""`novakit image`: build a small bootable image from Debian packages; adopt or remove files that no image has."""

import argparse
import asyncio
import hashlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
from rich.table import Table

from novakit import world
from novakit.cli import paths
from novakit.cli.client import Client, RequestRefused, add_options, client
from novakit.cli.guest import agreed, require_asked
from novakit.cli.scheduling.explain import whole, wide
from novakit.errors import ConfigError

NAME = "novakit-micro"

DESCRIPTION = """\
Build a guest image that boots in seconds and takes DHCP, metadata or config drive and an SSH key for root,
from Debian packages alone; then upload it as a public image, ready for

  openstack server create --image novakit-micro --flavor m1.tiny ...
"""

STRANGERS = """\
List files in images/ of the state directory that belong to no image in the database, which was lost, is new, or is
an older backup.  They stay until you decide what becomes of them:

  novakit image adopt FILE --project demo             make it an image again, under the id that it had
  novakit image remove FILE                           remove it, after a question

Exits with 1 when there are any.
"""
ADOPT = """\
Make images of image files without an image, in a project.

Each file is inspected as an upload is.  Where the file's name holds the id of its image, the image gets that id again,
so that servers and templates find it.  Its name, properties, tags and visibility were in the database alone:
set them with `openstack image set`.
"""
REMOVE = """\
Remove image files without an image.  They cannot be brought back.
Asks first; --yes answers.
"""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `novakit image` to the command line."""
    image = subparsers.add_parser(
        "image",
        description="Build and store guest images, and decide what becomes of image files without an image.",
    )
    actions = image.add_subparsers(metavar="ACTION", required=True)
    build = actions.add_parser(
        "build-micro",
        help="build the micro guest image and store it",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_options(build)
    build.add_argument("--name", default=NAME, help="name of the image in the image service")
    build.add_argument(
        "--out", metavar="FILE", type=paths.absolute, help="only write the qcow2 file here, do not upload it"
    )
    build.add_argument("--cache", metavar="DIR", type=paths.absolute, help="where downloaded packages are kept")
    build.set_defaults(func=build_micro)
    _register_strangers(actions)


def _register_strangers(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    raw = argparse.RawDescriptionHelpFormatter
    listing = actions.add_parser(
        "strangers", help="list image files without an image", description=STRANGERS, formatter_class=raw
    )
    listing.set_defaults(func=list_strangers)
    adopt = actions.add_parser("adopt", help="make images of such files", description=ADOPT, formatter_class=raw)
    adopt.add_argument("--project", metavar="PROJECT", help="name or id of the project that will own the images")
    adopt.add_argument("--name", metavar="NAME", help="name of the image; default its id")
    adopt.add_argument("--disk-format", metavar="FORMAT", help="qcow2, raw, ...; default what the content shows")
    adopt.add_argument(
        "--new-id", action="store_true", help="give it a new id: its own is taken, or was a deleted image's"
    )
    adopt.set_defaults(func=adopt_files)
    remove = actions.add_parser("remove", help="remove such files", description=REMOVE, formatter_class=raw)
    remove.add_argument("--yes", action="store_true", help="do not ask")
    remove.set_defaults(func=remove_files)
    for parser in (adopt, remove):
        parser.add_argument("files", metavar="IMAGE_FILE", nargs="*", help="as `novakit image strangers` names it")
        parser.add_argument("--all", action="store_true", help="every file that `novakit image strangers` names")
    for parser in (listing, adopt, remove):
        add_options(parser)


def list_strangers(args: argparse.Namespace) -> int:
    """Print the files that no image has. Returns 1 when there are any."""
    found = _strangers(client(args))
    if args.format == "json":
        sys.stdout.buffer.write(orjson.dumps(found, option=orjson.OPT_INDENT_2) + b"\n")
    elif found:
        table = Table("file", "bytes", "written", "id of its image")
        for each in found:
            written = each["written_at"][:19].replace("T", " ")
            table.add_row(*map(whole, (each["name"], str(each["size"]), written, each["image_id"])))
        wide().print(table)
    else:
        print("Every image file belongs to an image.")
    return 1 if found else 0


def adopt_files(args: argparse.Namespace) -> int:
    """Adopt those that were named. Returns 1 when one could not be."""
    cloud = client(args)
    given = {"project": args.project, "name": args.name, "disk_format": args.disk_format, "new_id": args.new_id}
    body = {name: value for name, value in given.items() if value}

    def adopt(file: str) -> str:
        image = cloud.post("novakit", f"v1/image-files/{quote(file, safe='')}/adopt", body)["image"]
        return f"adopted as image {image['id']}, {image['disk_format']}"

    return _each(args, _named(args, cloud), adopt)


def remove_files(args: argparse.Namespace) -> int:
    """Remove those that were named. Returns 1 when one could not be, 2 when the answer was no."""
    cloud = client(args)
    names = _named(args, cloud)
    asked = None
    if not args.yes:
        asked = {each["name"]: each["size"] for each in _strangers(cloud) if each["name"] in names}
        for name, size in asked.items():
            print(f"{name}  {size} bytes")
        what = "it" if len(asked) == 1 else f"these {len(asked)} files"
        if asked and not agreed(f"Remove {what}? [y/N] "):
            raise ConfigError("Nothing was removed.")

    def remove(file: str) -> str:
        require_asked(file, asked, "novakit image strangers")
        cloud.send("DELETE", "novakit", f"v1/image-files/{quote(file, safe='')}")
        return "removed"

    return _each(args, names, remove)


def _strangers(cloud: Client) -> Sequence[Mapping[str, Any]]:
    found: Sequence[Mapping[str, object]] = cloud.get("novakit", "v1/image-files")["image_files"]
    return found


def _named(args: argparse.Namespace, cloud: Client) -> Sequence[str]:
    if bool(args.files) == args.all:
        raise ConfigError("Name one or more files, or give --all.")
    return [each["name"] for each in _strangers(cloud)] if args.all else args.files


def _each(args: argparse.Namespace, names: Sequence[str], do: Callable[[str], str]) -> int:
    outcomes = []
    for name in names:
        try:
            outcomes.append({"file": name, "outcome": do(name), "refused": False})
        except RequestRefused as error:
            outcomes.append({"file": name, "outcome": str(error), "refused": True})
        if args.format == "table":
            print(f"{name}  {outcomes[-1]['outcome']}", flush=True)
    if args.format == "json":
        sys.stdout.buffer.write(orjson.dumps(outcomes, option=orjson.OPT_INDENT_2) + b"\n")
    elif not names:
        print("There is no such file.")
    return 1 if any(each["refused"] for each in outcomes) else 0


def build_micro(args: argparse.Namespace) -> int:
    """Build the image, and upload it unless `--out` is given. Returns 0, or 2 with what is missing."""
    try:
        from novakit_micro_image import CannotBuild, build
    except ModuleNotFoundError as error:
        raise ConfigError(
            "The builder of the micro image is not installed: pip install novakit-micro-image, or 'novakit[host]'."
        ) from error

    started = world.monotonic()
    quiet = args.format == "json"

    def say(sentence: str) -> None:
        if not quiet:
            print(f"[{world.monotonic() - started:5.1f} s] {sentence}", flush=True)

    login = None if args.out else client(args)
    out = args.out or args.state / "cache" / f"{args.name}.qcow2"
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        asyncio.run(build(out, args.cache or args.state / "cache" / "packages", say))
    except CannotBuild as error:
        raise ConfigError(str(error)) from error
    if login is None:
        print(json.dumps({"file": str(out)}) if quiet else f"Built {out}.")
        return 0
    image = _store(login, args.name, out, say)
    if quiet:
        print(json.dumps({key: image[key] for key in ("id", "name", "status", "size", "disk_format")}))
    else:
        say(f"stored as image {image['name']} ({image['id']}), status {image['status']}")
    return 0


def _store(login: Client, name: str, file: Path, say: Callable[[str], None]) -> Any:
    """Upload the file unless the same one is there; an older image of that name goes once the new one is stored."""
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha512").hexdigest()
    size = file.stat().st_size
    older = login.get("image", "/v2/images", name=name)["images"]
    for image in older:
        if image["os_hash_value"] == digest and image["status"] == "active":
            say("the image service has it already")
            return image
    say(f"uploading {size >> 20} MiB")
    body = {"name": name, "disk_format": "qcow2", "container_format": "bare", "visibility": "public"}
    new = login.post("image", "/v2/images", body)
    with file.open("rb") as content:
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        login.send("PUT", "image", f"/v2/images/{new['id']}/file", content, headers)
    for image in older:
        login.send("DELETE", "image", f"/v2/images/{image['id']}")
    return login.get("image", f"/v2/images/{new['id']}")
