"""Code that was kept is the code that attrs would make, and a file that is not whole is as good as none."""

import inspect
import marshal
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import attr._make
import attrs
import pytest

from novakit.imports import kept_code
from novakit.imports.kept_code import KeptCode
from tests.support.service import free_port

STARTED = """
import os, signal, sys
from novakit.imports import kept_code
from novakit.cli import main, serve

def ready(*_):
    os.kill(os.getpid(), signal.SIGTERM)

def keep(self, keep=kept_code.KeptCode.keep):
    print("compiled", self.compiled, flush=True)
    keep(self)

kept_code.KeptCode.keep = keep
serve._show = ready
sys.exit(main(["serve", *sys.argv[1:]]))
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "code.attrs"


@pytest.fixture
def using(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], KeptCode]:
    def use(file: Path) -> KeptCode:
        kept = KeptCode(file)
        monkeypatch.setattr(attr._make, "_compile_and_eval", kept.run)
        return kept

    return use


def made() -> type:
    @attrs.frozen(order=True)
    class Made:
        name: str
        size: int = attrs.field(default=3, converter=int)
        parts: list[int] = attrs.field(factory=list, hash=False, eq=False)

    return Made


def kept_in(file: Path, using: Callable[[Path], KeptCode]) -> bytes:
    kept = using(file)
    made()
    kept.keep()
    return file.read_bytes()


def test_attrs_has_what_is_replaced() -> None:
    """Fails where attrs compiles elsewhere: a start then takes a tenth longer, until `kept_code` follows."""
    ours = [name for name in inspect.signature(KeptCode.run).parameters if name != "self"]
    assert list(inspect.signature(attr._make._compile_and_eval).parameters) == ours


def test_what_one_process_compiles_the_next_one_does_not(file: Path, using: Callable[[Path], KeptCode]) -> None:
    first = using(file)
    made()
    assert first.compiled > 0
    first.keep()
    second = using(file)
    made()
    assert second.compiled == 0


def test_kept_code_does_what_compiled_code_does(file: Path, using: Callable[[Path], KeptCode]) -> None:
    plain = made()
    kept_in(file, using)
    using(file)
    kept = made()
    assert kept is not plain
    for name in ("__init__", "__repr__", "__eq__", "__lt__"):
        assert getattr(kept, name).__code__ == getattr(plain, name).__code__, name
    one, same, other = kept("a", "1", [1]), kept("a", 1, [2]), kept("b")
    assert one == same
    assert hash(one) == hash(same)
    assert len({one, same, other}) == 2
    assert one < other
    assert repr(other).endswith("Made(name='b', size=3, parts=[])")
    assert attrs.asdict(one) == {"name": "a", "size": 1, "parts": [1]}


def test_a_changed_class_gets_code_of_its_own(file: Path, using: Callable[[Path], KeptCode]) -> None:
    kept_in(file, using)
    kept = using(file)

    @attrs.frozen(order=True)
    class Made:
        name: str
        length: int = attrs.field(default=3, converter=int)

    Made.__qualname__ = made().__qualname__
    assert kept.compiled == 1
    assert Made("a", "2").length == 2  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: b"",
        lambda whole: whole[:3],
        lambda whole: whole[:-1],
        lambda whole: whole[: len(whole) // 2],
        lambda whole: whole[:-1] + bytes([whole[-1] ^ 1]),
        lambda whole: b"\0\0\0\0" + whole[4:],
        lambda whole: whole[:20] + marshal.dumps({}),
        lambda whole: bytes(len(whole)),
    ],
    ids=["empty", "short", "without its end", "half", "one bit", "another Python's", "replaced", "zeros"],
)
def test_of_a_damaged_file_nothing_is_loaded(
    file: Path, using: Callable[[Path], KeptCode], damage: Callable[[bytes], bytes]
) -> None:
    whole = kept_in(file, using)
    file.write_bytes(damage(whole))
    kept = using(file)
    assert made()("a").size == 3
    assert kept.compiled > 0
    kept.keep()
    again = using(file)
    made()
    assert again.compiled == 0, "it was not replaced"


def test_nothing_is_written_where_python_may_write_no_bytecode(
    file: Path, using: Callable[[Path], KeptCode], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    kept = using(file)
    made()
    kept.keep()
    assert not file.exists()


def test_a_directory_that_cannot_be_written_costs_nothing_else(
    tmp_path: Path, using: Callable[[Path], KeptCode]
) -> None:
    (tmp_path / "no directory").write_text("")
    kept = using(tmp_path / "no directory" / "code.attrs")
    assert made()("a").size == 3
    kept.keep()
    taken = tmp_path / "taken.attrs"
    taken.mkdir()
    kept = using(taken)
    made()
    kept.keep()
    assert [path.name for path in tmp_path.iterdir() if str(os.getpid()) in path.name] == []


def test_the_file_has_the_rights_of_the_module(file: Path, using: Callable[[Path], KeptCode]) -> None:
    kept_in(file, using)
    assert stat.S_IMODE(file.stat().st_mode) == stat.S_IMODE(Path(kept_code.__file__).stat().st_mode) & 0o666


def test_what_older_versions_left_goes_once_it_is_too_much(
    file: Path, using: Callable[[Path], KeptCode], monkeypatch: pytest.MonkeyPatch
) -> None:
    older = using(file)
    made()
    attrs.make_class("Older", ["a"])
    older.keep()
    monkeypatch.setattr(kept_code, "MOST", older.compiled)
    newer = using(file)
    made()
    attrs.make_class("Newer", ["a"])
    newer.keep()
    last = using(file)
    attrs.make_class("Newer", ["a"])
    assert last.compiled == 0
    attrs.make_class("Older", ["a"])
    assert last.compiled == 1


def test_what_is_in_use_is_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    own = attr._make._compile_and_eval
    kept_code.use()
    assert attr._make._compile_and_eval != own
    kept_code.keep()
    assert attr._make._compile_and_eval is own


def test_another_attrs_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def compile_all(scripts: list[str]) -> None:
        raise AssertionError("is not called here")

    monkeypatch.setattr(attr._make, "_compile_and_eval", compile_all)
    kept_code.use()
    assert attr._make._compile_and_eval is compile_all
    monkeypatch.delattr(attr._make, "_compile_and_eval")
    kept_code.use()
    kept_code.keep()
    assert not hasattr(attr._make, "_compile_and_eval")


def test_a_second_start_compiles_none(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    told = []
    for turn in ("first", "second"):
        done = subprocess.run(
            [sys.executable, "-c", STARTED, "--state", tmp_path / turn, "--listen", f"127.0.0.1:{free_port()}"],
            env=environment | {"PYTHONPYCACHEPREFIX": str(tmp_path / "bytecode")},
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        told.append(int(done.stdout.split("compiled ")[1].split()[0]))
    assert told[0] > 500
    assert told[1] == 0
