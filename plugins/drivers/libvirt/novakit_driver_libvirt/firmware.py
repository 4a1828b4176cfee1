"""Which firmware for UEFI guests is installed, by the descriptors that libvirt, too, chooses from."""

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
from lxml import etree

from novakit_fit.hardware import is_q35

PACKAGE = "ovmf"
_PLACES = ("etc/qemu/firmware", "usr/share/qemu/firmware")
"""Below the first, a file hides the one of the same name below the second; an empty one does nothing else."""
_SECURE = frozenset({"secure-boot", "enrolled-keys", "requires-smm"})


@attrs.frozen(kw_only=True)
class Firmware:
    """The files with the firmware's code; empty for what is not there."""

    plain: str = ""
    """For UEFI that boots anything."""
    secure: str = ""
    """For Secure Boot: with keys enrolled, in a store that guests cannot write."""

    def known_to(self, loaders: Collection[str]) -> "Firmware":
        """Leave out what libvirt does not offer."""
        return Firmware(
            plain=self.plain if self.plain in loaders else "", secure=self.secure if self.secure in loaders else ""
        )


NONE = Firmware()


def installed(root: Path = Path("/")) -> Firmware:
    """Read the descriptors, of which the first that fits counts, in the order of their names."""
    plain = secure = ""
    for told in _descriptors(root):
        code = _code(told, root)
        features = frozenset(told.get("features", ()))
        if code and features >= _SECURE:
            secure = secure or code
        elif code and "secure-boot" not in features:
            plain = plain or code
    return Firmware(plain=plain, secure=secure)


def loaders(domain_capabilities: str) -> Collection[str]:
    """Name the files of firmware that libvirt offers to domains."""
    found = etree.fromstring(domain_capabilities).iterfind("os[@supported='yes']/loader[@supported='yes']/value")
    return frozenset(str(value.text) for value in found)


def _descriptors(root: Path) -> Iterator[Mapping[str, Any]]:
    files: dict[str, Path] = {}
    for place in reversed(_PLACES):
        files |= {path.name: path for path in (root / place).glob("*.json")}
    for name in sorted(files):
        try:
            told = json.loads(files[name].read_bytes())
        except (OSError, ValueError):
            continue  # hidden by an empty file, or broken: libvirt passes it over, too
        if isinstance(told, dict):
            yield told


def _code(told: Mapping[str, Any], root: Path) -> str:
    """Return the file with the code if the descriptor is of UEFI in flash for these guests and its files are there."""
    try:
        mapping = told["mapping"]
        targets = [each for each in told["targets"] if each["architecture"] == "x86_64"]
        fits = any(is_q35(str(pattern)) for each in targets for pattern in each["machines"])
        if "uefi" not in told["interface-types"] or mapping["device"] != "flash" or not fits:
            return ""
        code, template = (str(mapping[part]["filename"]) for part in ("executable", "nvram-template"))
    except (KeyError, TypeError):
        return ""
    return code if all((root / path.lstrip("/")).is_file() for path in (code, template)) else ""
