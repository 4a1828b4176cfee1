"""Whether the bytes of an image are what they are said to be, and safe to hand to a hypervisor.

The image service judges what is uploaded as it comes, and a host judges its copy again, by the same rules.

The idea: the bytes pass by an inspector of each format at once, and by QEMU's own guess from the first sectors; what
they find is compared with what the owner declared, as a hypervisor opens a file by what is declared or by what it
guesses.
The invariant: nothing is accepted whose content is another format than declared, that names further files (a backing
file, a parent, extents), that is encrypted within another format, or that claims a larger disk than `LARGEST`.
The cost: 0.3 ms of CPU for the first MiB of a raw image and 0.1 ms for each further one; at most `FIRST` bytes are
kept.
"""

import io
import struct
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import attrs

from novakit import errors
from novakit.disk_images.header import LENGTH, encryption, flaw, guessed
from novakit_hookspecs.facets import IMAGE_FORMATS

if TYPE_CHECKING:
    from oslo_utils.imageutils.format_inspector import FileInspector

FORMATS = IMAGE_FORMATS
CONTAINERS = ("bare", "ami", "ari", "aki")

_PLAIN = ({"raw"}, {"gpt"})
_ACCEPTED: Mapping[str, tuple[set[str], ...]] = {
    **{name: ({name},) for name in ("qcow2", "vmdk", "vdi", "vhd", "vhdx", "luks")},
    **dict.fromkeys(("raw", "ami", "ari", "aki", "ploop"), _PLAIN),
    "iso": ({"iso"}, {"iso", "gpt"}),
}
"""What may be detected where a format is declared; a bootable ISO carries a partition table as well."""

_ACCESS = ("rw", "rdonly", "noaccess")
"""How a line of a VMDK's descriptor begins that names a file with a part of the disk."""

_PARENT_LOCATOR = uuid.UUID("a8d35f2d-b30b-454d-abf7-d3d84834ab0c").bytes_le
"""The entry of a VHDX's table of metadata that says where its parent is."""

LARGEST = 1 << 60
"""Bytes of the largest disk that is believed: 1 EiB, more than any file system of a host holds."""

FIRST = 1 << 20
"""Bytes the inspector must get at once: it looks for VMDK's text descriptor in the first piece alone."""


class _Pieces(io.RawIOBase):
    """A file-like object that gives what was put in."""

    piece: bytes = b""

    def read(self, size: int = -1, /) -> bytes:
        return self.piece


@attrs.define
class Inspection:
    """Looks at the bytes of one image as they pass."""

    declared: str | None
    """The format that it is to have; None to take the one that its content shows, which is here after the verdict."""
    encrypted: bool = False
    """Whether the image is declared to be encrypted, so that LUKS may be found in a raw one."""
    _head: bytes = b""
    _waiting: bytearray = attrs.field(factory=bytearray)
    _pieces: _Pieces = attrs.field(factory=_Pieces)
    _wrapper: Any = None
    _begun: bool = False

    def feed(self, piece: bytes) -> None:
        """Look at the next bytes."""
        if self._begun:
            self._look(piece)
        else:
            self._waiting += piece
            if len(self._waiting) >= FIRST:
                self._begin()

    def _begin(self) -> None:
        # Imported with the first image: it brings four hundred regular expressions, of which none is needed for it.
        from oslo_utils.imageutils import format_inspector

        self._begun = True
        self._head = bytes(self._waiting[:LENGTH])
        self._wrapper = format_inspector.InspectWrapper(cast(IO[bytes], self._pieces))
        self._look(bytes(self._waiting))
        self._waiting.clear()

    def _look(self, piece: bytes) -> None:
        self._pieces.piece = piece
        self._wrapper.read(len(piece))

    def is_decided(self) -> bool:
        """Return whether the bytes so far say all that the rest could."""
        return self._begun and self._wrapper.formats is not None

    def verdict(self) -> int:
        """Return the virtual size in bytes. Raises UnsupportedMedia with the reason for what must not be used."""
        if not self._begun:
            self._begin()
        self._wrapper.close()
        found = {str(one): one for one in self._wrapper.formats}
        formats = self._formats(set(found))
        if self.declared is None:
            self.declared = _format(formats)
        self._require_declared(self.declared, formats)
        self._require_open(set(found))
        for name, inspector in found.items():
            self._require_safe(name, inspector)
        chief = found.get(self.declared) or next(iter(found.values()))
        try:
            size = int(chief.virtual_size)
        except struct.error as error:
            raise errors.UnsupportedMedia(f"The image cannot be read as {self.declared}: {error}.") from error
        if not 0 < size <= LARGEST:
            raise errors.UnsupportedMedia(
                f"The image claims a disk of {size} bytes, which is impossible; convert it again."
            )
        return size

    def _formats(self, found: set[str]) -> set[str]:
        """Return what the content is, by the inspector and by QEMU's guess, which is refused if it cannot be judged."""
        guess = guessed(self._head)
        if not guess or guess in found:
            return found
        if self.declared in (None, guess):
            raise errors.UnsupportedMedia(
                f"The image begins as {guess} and cannot be inspected as such; convert it with qemu-img."
            )
        return (found - {"raw"}) | {guess}

    def _require_declared(self, declared: str, found: set[str]) -> None:
        accepted = _ACCEPTED.get(declared, ())
        if self.encrypted and declared == "raw":
            accepted = (*accepted, {"luks"})
        if found not in accepted:
            seen = " and ".join(sorted(found))
            raise errors.UnsupportedMedia(
                f"The image is declared as {declared}, and its content is {seen}; declare it as what it is, or "
                "convert it with qemu-img."
            )

    def _require_open(self, found: set[str]) -> None:
        """Refuse encryption inside another format; a LUKS image is declared as what it is, and no host opens it."""
        if "luks" not in found and (method := encryption(self._head)):
            raise errors.UnsupportedMedia(
                f"The image is {self.declared} encrypted with {method}, and no host has its key; decrypt it with "
                "qemu-img convert before the upload."
            )

    def _require_safe(self, name: str, inspector: "FileInspector") -> None:
        from oslo_utils.imageutils import format_inspector

        if name == "gpt":
            return  # Odd partition tables harm nobody but the guest, and hybrid disks have them.
        try:
            inspector.safety_check()
            why = flaw(name, self._head) or _FLAWS.get(name, _none)(inspector)
            if why:
                raise format_inspector.SafetyCheckFailed({"header": format_inspector.SafetyViolation(why)})
        except format_inspector.SafetyCheckFailed as error:
            reasons = "; ".join(f"{check}: {failure}" for check, failure in error.failures.items())
            raise errors.UnsupportedMedia(
                f"The image is not safe to use as {self.declared} ({reasons}); flatten it with qemu-img convert."
            ) from error
        except format_inspector.ImageFormatError as error:
            raise errors.UnsupportedMedia(f"The image cannot be read as {self.declared}: {error}.") from error


def _format(found: set[str]) -> str:
    """Return what an image with this content is to be declared as. Raises UnsupportedMedia where it is several."""
    fitting = [
        name for name in ("raw", "qcow2", "vmdk", "vdi", "vhd", "vhdx", "iso", "luks") if found in _ACCEPTED[name]
    ]
    if not fitting:
        raise errors.UnsupportedMedia(
            f"The content is {' and '.join(sorted(found))}, which is not one image; convert it with qemu-img."
        )
    return fitting[0]


def inspect_file(path: Path, declared: str) -> int:
    """Return the virtual size of an image that is all there; reads no more of it than the verdict needs.

    Raises UnsupportedMedia with the reason for what must not be used.
    """
    inspection = Inspection(declared)
    with path.open("rb") as file:
        while not inspection.is_decided() and (piece := file.read(FIRST)):
            inspection.feed(piece)
    size = inspection.verdict()
    return path.stat().st_size if _ACCEPTED.get(declared) is _PLAIN else size


def _none(inspector: "FileInspector") -> str:
    return ""


def _flaw_of_vmdk(inspector: Any) -> str:
    if not inspector.has_region("header"):
        return "It is a descriptor of other files"
    if sum(line.split(" ")[0] in _ACCESS for line in map(str.strip, inspector.desc_text.split("\n"))) != 1:
        return "It consists of several files"
    if not inspector.has_region("footer"):
        return ""
    # QEMU goes by the footer alone, and looks for it before the end of the last sector, whole or not.
    if inspector.actual_size % 512:
        return "It ends within a sector, and its footer is not where it should be"
    (size,) = struct.unpack_from("<Q", inspector.region("header").data, 12)
    (believed,) = struct.unpack_from("<Q", inspector.region("footer").data, 512 + 12)
    return "Its header and its footer differ in size" if size != believed else ""


def _flaw_of_vhdx(inspector: "FileInspector") -> str:
    table = inspector.region("metadata").data if inspector.has_region("metadata") else b""
    return "It names a parent" if _PARENT_LOCATOR in table else ""


_FLAWS = {"vmdk": _flaw_of_vmdk, "vhdx": _flaw_of_vhdx}
"""What the inspector's regions tell beyond the first sectors of an image."""
