"""The measure of what one request runs through sees what is called, and only that."""

import sys
from pathlib import Path

from tests.house.spine import GIVEN, Called, Watch, _known, spine
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


def test_functions_of_the_core_count_by_their_package_and_what_python_makes_does_not() -> None:
    core = ROOT / "novakit"
    lines = [
        (str(core / "conductor" / "engine.py"), "Engine.run"),
        (str(core / "world.py"), "now"),
        (str(core / "conductor" / "engine.py"), "Engine.run.<locals>.<listcomp>"),
        (str(core / "conductor" / "engine.py"), "Engine.run.<locals>.work"),
        ("<attrs generated init novakit.world.World>", "World.__init__"),
        ("/usr/lib/python3/asyncio/tasks.py", "sleep"),
    ]
    assert list(_known(lines)) == [
        Called("conductor", "conductor/engine.py", "Engine.run"),
        Called(".", "world.py", "now"),
        Called("conductor", "conductor/engine.py", "Engine.run.<locals>.work"),
    ]


def test_the_ground_is_left_out_of_the_spine() -> None:
    verb, row = Called("conductor", "conductor/engine.py", "run"), Called("store", "store/engine.py", "write")
    assert spine({verb, row}) == {verb}
    assert all(one == "." or (ROOT / "novakit" / one).is_dir() for one in GIVEN), "a package of GIVEN is gone"
