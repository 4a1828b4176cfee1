"""The code of attrs' methods, kept from one start to the next as Python keeps that of modules.

The idea: attrs writes the methods of each class as text and compiles it, 680 texts in a service and a tenth of its
start; what that comes to is kept beside Python's own bytecode, by a digest of the text.
The invariant: what runs is what this very Python compiles of the same text. A file that is cut off, damaged or another
Python's is as good as none, and where Python may write no bytecode none is written. Whoever may write the file may
write the modules beside it.
The cost: two megabytes on the disk, and 0.07 ms of CPU for a class in the place of 0.4.
"""

import __future__

import importlib.util
import marshal
import os
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from types import CodeType, FunctionType
from typing import TypeGuard

MOST = 2000
"""Codes that one file keeps; with more, those that this process did not need are from older versions, and go."""
_DIGEST = 16
"""Bytes of a digest, at which two texts of one never happen."""
_FLAGS = __future__.annotations.compiler_flag
"""As `compile` is called in attrs, which postpones annotations."""
_TAKES = ("script", "globs", "locs", "filename")
"""What attrs' own function takes, which is private to it: another is left alone, and attrs compiles as it likes."""
_OWN_NUMBER = re.compile(r"-?[0-9]{12,}")
"""What attrs lets hashes of one class begin with: another number in each process, and any number does."""


class KeptCode:
    """What one file keeps."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept = _read(path)
        self._used: dict[bytes, bytes] = {}
        self.compiled = 0
        """How many texts were not there."""

    def run(
        self, script: str, globs: dict[str, object] | None, locs: Mapping[str, object] | None = None, filename: str = ""
    ) -> None:
        """Do what `attr._make._compile_and_eval` does."""
        text = f"{filename}\0{_OWN_NUMBER.sub('0', script)}"
        key = blake2b(text.encode(), digest_size=_DIGEST).digest()
        if (kept := self._kept.get(key)) is not None:
            code: CodeType = marshal.loads(kept)
        else:
            code = compile(script, filename, "exec", _FLAGS, dont_inherit=True)
            kept = marshal.dumps(code)
            self.compiled += 1
        self._used[key] = kept
        eval(code, globs, locs)

    def keep(self) -> None:
        """Write what was not there yet, where Python may write bytecode."""
        if not self.compiled or sys.dont_write_bytecode:
            return
        everything = {**self._kept, **self._used}
        with suppress(OSError):  # as Python does where it may not write, or the disk is full
            _write(self._path, self._used if len(everything) > MOST else everything)


def _read(path: Path) -> dict[bytes, bytes]:
    """Return what a file keeps, nothing where it is not whole: to load damaged code may end the process."""
    try:
        data = path.read_bytes()
    except OSError:
        return {}
    begin = len(importlib.util.MAGIC_NUMBER)
    magic, digest, rest = data[:begin], data[begin : begin + _DIGEST], memoryview(data)[begin + _DIGEST :]
    if magic != importlib.util.MAGIC_NUMBER or digest != blake2b(rest, digest_size=_DIGEST).digest():
        return {}
    kept: dict[bytes, bytes] = marshal.loads(rest)
    return kept


def _write(path: Path, codes: Mapping[bytes, bytes]) -> None:
    """Put a file in the place of another in one step, with the rights of this module's text, as Python does."""
    rest = marshal.dumps(dict(codes))
    path.parent.mkdir(exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            os.fchmod(file.fileno(), Path(__file__).stat().st_mode & 0o666)
            file.write(importlib.util.MAGIC_NUMBER + blake2b(rest, digest_size=_DIGEST).digest() + rest)
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


_in_use: list[tuple[KeptCode, FunctionType]] = []
"""What attrs takes code from, and what it called before."""


def use() -> None:
    """Let attrs take kept code from now on. Does nothing where attrs is another than it was, or Python keeps none."""
    from attr import _make  # not on top: `novakit --version` needs no attrs

    own: FunctionType | None = getattr(_make, "_compile_and_eval", None)
    if _in_use or not _is_as_ever(own) or sys.implementation.cache_tag is None:
        return
    kept = KeptCode(Path(importlib.util.cache_from_source(__file__)).with_suffix(".attrs"))
    _in_use.append((kept, own))
    vars(_make)["_compile_and_eval"] = kept.run


def _is_as_ever(function: FunctionType | None) -> TypeGuard[FunctionType]:
    return function is not None and function.__code__.co_varnames[: function.__code__.co_argcount] == _TAKES


def keep() -> None:
    """Keep for the next process what this one had to compile, and hold nothing of it any longer."""
    from attr import _make

    while _in_use:
        kept, own = _in_use.pop()
        vars(_make)["_compile_and_eval"] = own
        kept.keep()
