"""`novakit image build-micro`: build a small bootable image from Debian packages, and store it in the image service."""

import argparse
import asyncio
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from novakit import world
from novakit.cli import paths
from novakit.cli.client import Client, add_options, client
from novakit.errors import ConfigError

NAME = "novakit-micro"

DESCRIPTION = """\
Build a guest image that boots in seconds and takes DHCP, metadata or config drive and an SSH key for root,
from Debian packages alone; then upload it as a public image, ready for

  openstack server create --image novakit-micro --flavor m1.tiny ...
"""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `novakit image` to the command line."""
    image = subparsers.add_parser("image", help="make images", description="Make guest images and store them.")
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


def build_micro(args: argparse.Namespace) -> int:
    """Build, and unless `--out` is given upload; 0, or 2 with what is missing."""
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
