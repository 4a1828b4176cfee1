"""Whether the bytes of an image are what they are said to be, and safe to hand to a hypervisor."""

import io
from collections.abc import Mapping
from typing import IO, Any, cast

import attrs
from oslo_utils.imageutils import format_inspector

from novakit import errors
from novakit.disk_images.header import LENGTH, encryption, vmdk

FORMATS = ("raw", "qcow2", "vmdk", "vdi", "vhd", "vhdx", "iso", "luks", "ami", "ari", "aki", "ploop")
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
        self._begun = True
        self._head = bytes(self._waiting[:LENGTH])
        self._wrapper = format_inspector.InspectWrapper(cast(IO[bytes], self._pieces))
        self._look(bytes(self._waiting))
        self._waiting.clear()

    def _look(self, piece: bytes) -> None:
        self._pieces.piece = piece
        self._wrapper.read(len(piece))

    def verdict(self) -> int:
        """Return the virtual size in bytes. Raises UnsupportedMedia with the reason for what must not be used."""
        if not self._begun:
            self._begin()
        self._wrapper.close()
        found = {str(one): one for one in self._wrapper.formats}
        formats = set(found) if found.keys() != {"raw"} else {vmdk(self._head) or "raw"}
        if self.declared is None:
            self.declared = _format(formats)
        self._require_declared(self.declared, formats)
        self._require_open(set(found))
        for name, inspector in found.items():
            self._require_safe(name, inspector)
        chief = found.get(self.declared or "raw") or next(iter(found.values()))
        size = int(chief.virtual_size)
        if size <= 0:
            raise errors.UnsupportedMedia(
                f"The image claims a disk of {size} bytes, which is impossible; convert it again."
            )
        return size

    def _require_declared(self, declared: str, found: set[str]) -> None:
        accepted = _ACCEPTED[declared]
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

    def _require_safe(self, name: str, inspector: Any) -> None:
        if name == "gpt":
            return  # Odd partition tables harm nobody but the guest, and hybrid disks have them.
        try:
            inspector.safety_check()
            if name == "vmdk":
                _require_one_file(inspector)
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
            f"The content is {' and '.join(sorted(found))}, which is no one image; convert it with qemu-img."
        )
    return fitting[0]


def _require_one_file(inspector: Any) -> None:
    """Refuse a VMDK that takes from other files: by a parent, or as a descriptor that has no disk behind it.

    The inspector looks at the names of extents alone. QEMU takes the parent from wherever the descriptor names it.
    Raises SafetyCheckFailed.
    """
    if not inspector.has_region("header"):
        why = "It is a descriptor of other files"
    elif "parentfilenamehint" in inspector.desc_text:
        why = "It names a parent file"
    elif sum(line.split(" ")[0] in _ACCESS for line in map(str.strip, inspector.desc_text.split("\n"))) != 1:
        why = "It consists of several files"
    else:
        return
    raise format_inspector.SafetyCheckFailed({"descriptor": format_inspector.SafetyViolation(why)})
