"""The `clouds.yaml` that `novakit serve` writes: how clients log in, and where the passwords are kept."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

from novakit import durable, world
from novakit.config import files
from novakit.errors import ConfigError

ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"

CLOUDS = {"novakit-admin": ("admin", "admin"), "novakit": ("demo", "demo")}
"""User and project of each cloud."""

_KIND = files.own("the clouds.yaml of this cloud")

_LOST = "      # The password of {user} is not known here; make one: novakit admin reset-password {user}"


def read(path: Path) -> dict[str, dict[str, str]]:
    """Return, by cloud, the keys of its login as `write` wrote them; empty when there is no file.

    Raises ConfigError for a file of another kind.
    """
    found: dict[str, dict[str, str]] = {}
    text = files.read_text(path, kind=_KIND) or ""
    if text.strip() and not re.search(r"^clouds:", text, flags=re.MULTILINE):
        raise ConfigError(f"{path} is not a clouds.yaml; it would be written over. Move it away, then start again.")
    for block in re.split(r"^  (?=\S)", text, flags=re.MULTILINE)[1:]:
        keys = re.findall(r"^\s+(\w+): (\S.*)$", block, flags=re.MULTILINE)
        found[block.split(":")[0]] = {name: _value(text) for name, text in keys}
    return found


def _value(text: str) -> str:
    """Read a scalar: a quoted one is written as JSON, which YAML reads the same."""
    if text.startswith('"'):
        try:
            return str(json.loads(text))
        except ValueError:
            return text.strip('"')
    return text


def passwords(path: Path) -> dict[str, str]:
    """Return the passwords that the file has, by cloud."""
    return {cloud: keys["password"] for cloud, keys in read(path).items() if cloud in CLOUDS and keys.get("password")}


def new_password() -> str:
    """Make a password: 20 characters that nobody takes for one another."""
    return world.word(ALPHABET, 20)


def write(path: Path, auth_url: str, chosen: Mapping[str, str]) -> None:
    """Write the file anew, readable by its owner alone; after a power cut the old one or the new one is there.

    A cloud without a password in `chosen` is written without one, and with the command that makes one.
    """
    lines = ["clouds:"]
    for cloud, (user, project) in CLOUDS.items():
        lines += [
            f"  {cloud}:",
            "    auth:",
            f"      auth_url: {auth_url}",
            f"      username: {user}",
            f"      password: {json.dumps(chosen[cloud])}" if cloud in chosen else _LOST.format(user=user),
            f"      project_name: {project}",
            "      user_domain_id: default",
            "      project_domain_id: default",
            "    region_name: RegionOne",
            "    identity_api_version: 3",
        ]
    durable.write(path, ("\n".join(lines) + "\n").encode())
