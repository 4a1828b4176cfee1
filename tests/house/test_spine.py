"""The measure of what one request runs through sees what is called, and only that."""

import sys
from pathlib import Path

from tests.house.spine import GIVEN, Called, Watch, _caller, _known, above_ground, spine
from tests.support.distributions import ROOT


def _asked() -> int:
    return _inner()


def _inner() -> int:
    return 1


def _beside() -> int:
    return 2


def test_functions_are_noted_between_the_signals_alone(tmp_path: Path) -> None:
    watch = Watch(tmp_path / "called.json")
    before = sys.getprofile()
    sys.setprofile(watch._profile)
    try:
        _beside()
        watch._begin()
        _asked()
        watch._end()
        _beside()
    finally:
        sys.setprofile(before)
    told = watch.notes.read_text()
    assert "_asked" in told and "_inner" in told and "_beside" not in told
    assert not _caller(sys._getframe()), "a function of a test is none of the core"


def test_functions_of_the_core_count_by_their_package_and_what_python_makes_does_not() -> None:
    core = ROOT / "novakit"
    run = (str(core / "conductor" / "engine.py"), "Engine.run")
    work = (run[0], "Engine.run.<locals>.work")
    lines = [
        (*run, []),
        (str(core / "world.py"), "now", [work]),
        (run[0], "Engine.run.<locals>.<listcomp>", [work]),
        (*work, [run]),
        ("<attrs generated init novakit.world.World>", "World.__init__", [work]),
        ("/usr/lib/python3/asyncio/tasks.py", "sleep", [work]),
    ]
    assert list(_known(lines)) == [
        Called("conductor", "conductor/engine.py", "Engine.run"),
        Called(".", "world.py", "now", is_leaf=True),
        Called("conductor", "conductor/engine.py", "Engine.run.<locals>.work", is_leaf=True),
    ], "what called only what is given, or a library, is a leaf"


def test_the_ground_is_left_out_of_the_spine() -> None:
    verb, row = Called("conductor", "conductor/engine.py", "run"), Called("store", "store/engine.py", "write")
    leaf = Called("conductor", "conductor/engine.py", "wait", is_leaf=True)
    assert above_ground({verb, row, leaf}) == {verb, leaf} and spine({verb, row, leaf}) == {verb}
    assert all(one == "." or (ROOT / "novakit" / one).is_dir() for one in GIVEN), "a package of GIVEN is gone"
