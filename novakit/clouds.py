"""The `clouds.yaml` that `novakit serve` writes: how clients log in, and where the passwords are kept."""

import re
from collections.abc import Mapping
from pathlib import Path

from novakit import durable, world

ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"

CLOUDS = {"novakit-admin": ("admin", "admin"), "novakit": ("demo", "demo")}
"""User and project of each cloud."""


def read(path: Path) -> dict[str, dict[str, str]]:
    """Give, by cloud, the keys of its login as `write` wrote them; empty when there is no file."""
    found: dict[str, dict[str, str]] = {}
    if not path.exists():
        return found
    for block in re.split(r"^  (?=\S)", path.read_text(), flags=re.MULTILINE)[1:]:
        keys = re.findall(r'^\s+(\w+): "?([^"\n]+)"?$', block, flags=re.MULTILINE)
        found[block.split(":")[0]] = dict(keys)
    return found


def passwords(path: Path) -> dict[str, str]:
    """Give the password of each cloud: those in the file, or new ones."""
    known = read(path)
    return {
        cloud: known.get(cloud, {}).get("password") or "".join(world.chance().choices(ALPHABET, k=20))
        for cloud in CLOUDS
    }


def write(path: Path, auth_url: str, chosen: Mapping[str, str]) -> None:
    """Write the file anew, readable by its owner alone; after a power cut the old one or the new one is there."""
    lines = ["clouds:"]
    for cloud, (user, project) in CLOUDS.items():
        lines += [
            f"  {cloud}:",
            "    auth:",
            f"      auth_url: {auth_url}",
            f"      username: {user}",
            f'      password: "{chosen[cloud]}"',
            f"      project_name: {project}",
            "      user_domain_id: default",
            "      project_domain_id: default",
            "    region_name: RegionOne",
            "    identity_api_version: 3",
        ]
    durable.write(path, ("\n".join(lines) + "\n").encode())
