"""Build the micro image: one command, Debian packages in, a bootable qcow2 out."""

import asyncio
import hashlib
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from novakit_micro_image import disk, packages, tree
from novakit_micro_image.commands import CannotBuild, missing


async def build(out: Path, cache: Path, say: Callable[[str], None]) -> Path:
    """Make the image file `out`, keeping downloads in `cache`. Returns its path.

    An image that was built from the same packages and the same recipe is left as it is.
    `<out>.json` tells what the image is made of.
    Raises CannotBuild with a remedy; a half-made image is never left under the final name.
    """
    loop = asyncio.get_running_loop()

    def tell(line: str) -> None:
        loop.call_soon_threadsafe(say, line)

    await asyncio.to_thread(_build, out, cache, tell)
    return out


def _build(out: Path, cache: Path, say: Callable[[str], None]) -> None:
    if lacking := missing():
        raise CannotBuild(f"the build needs commands that are not here: apt-get install {' '.join(lacking)}")
    began = time.monotonic()
    # The build's commands run in directories of their own, where a relative name would lead elsewhere.
    out, cache = out.absolute(), cache.absolute()
    for directory in (out.parent, cache):
        directory.mkdir(parents=True, exist_ok=True)
    say("asking apt for the current packages")
    found = packages.fetch(cache, say)
    recipe = recipe_of(found.names())
    if _is_current(out, recipe):
        say(f"{out} is current (kernel {found.kernel})")
        return
    with tempfile.TemporaryDirectory(prefix="micro-", dir=out.parent) as scratch:
        made = _assemble(found, Path(scratch), say)
        record = _record(found, recipe, made)
        _about(out).write_text(json.dumps(record, indent=1) + "\n")
        made.replace(out)
    say(f"{out}: {record['size'] / 1e6:.0f} MB, built in {time.monotonic() - began:.0f} s")


def recipe_of(names: Sequence[str]) -> str:
    """Return a digest of everything the image depends on: package versions and our own files."""
    digest = hashlib.sha256("\n".join(names).encode())
    for name, text in sorted(_texts(files("novakit_micro_image"))):
        digest.update(f"\0{name}\0".encode() + text)
    return digest.hexdigest()


def _assemble(found: packages.Packages, scratch: Path, say: Callable[[str], None]) -> Path:
    say(f"unpacking {len(found.names())} packages, kernel {found.kernel}")
    unpacked = packages.unpack(found.guest, scratch / "packages")
    tools = packages.unpack(found.tools, scratch / "tools")
    say("laying out the guest's files")
    first = tree.first_stage(unpacked, found.kernel, scratch / "first")
    system = tree.system(unpacked, found.kernel, scratch / "system")
    initrd = disk.initramfs(first, scratch / "initrd.gz")
    say(f"writing the disk (initrd {initrd.stat().st_size / 1e6:.1f} MB)")
    kernel = unpacked / "boot" / f"vmlinuz-{found.kernel}"
    raw = disk.write(scratch / "disk.raw", kernel=kernel, initrd=initrd, system=system, tools=tools)
    say("compressing it to qcow2")
    return disk.compress(raw, scratch / "image.qcow2")


def _record(found: packages.Packages, recipe: str, made: Path) -> dict[str, Any]:
    with made.open("rb") as image:
        digest = hashlib.file_digest(image, "sha256").hexdigest()
    return {
        "recipe": recipe,
        "kernel": found.kernel,
        "packages": list(found.names()),
        "sha256": digest,
        "size": made.stat().st_size,
        "virtual_size": (disk.SYSTEM.start_mib + disk.SYSTEM_MIB + 1) * disk.MIB,
    }


def _about(out: Path) -> Path:
    return out.with_name(out.name + ".json")


def _is_current(out: Path, recipe: str) -> bool:
    try:
        record = json.loads(_about(out).read_text())
        return bool(record["recipe"] == recipe and record["size"] == out.stat().st_size)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _texts(directory: Traversable, prefix: str = "") -> list[tuple[str, bytes]]:
    found = []
    for entry in directory.iterdir():
        name = f"{prefix}{entry.name}"
        if entry.is_dir():
            found += [] if entry.name == "__pycache__" else _texts(entry, f"{name}/")
        else:
            found.append((name, entry.read_bytes()))
    return found
