"""How much code one POST /servers runs through until its server is ACTIVE: functions and files, by package.

A whole cloud runs in one process, on one simulated host, and notes each function of novakit that is called between the
request and the commit that writes ACTIVE. What runs anyway, with nothing to do, is found first and left out. Functions
of the store and the bus are counted apart: whoever reads how a server is made takes them as given, like a library.

Of the others two kinds are told apart by what was seen, and both are printed. A leaf called no function of the core but
those: a validator, a converter, a sum, a sentence; its name says enough to whoever follows a request. The spine is what
called others, and is what somebody has to read.

`python -m tests.house.spine` prints the figures, with `--names` every function.
"""

import asyncio
import json
import signal
import sqlite3
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import CodeType, FrameType

import aiohttp
import attrs

from tests.support.distributions import ROOT
from tests.support.service import Api, Service

GIVEN = frozenset({"store", "bus", "concurrency", "front", "policy", "logs", "."})
"""Packages of the core that are the ground under a request; `.` are the modules beside them, as `world`."""
WANTED = 60, 20
"""Functions and files of what is left, for somebody to read it in one sitting."""
IDLE = 6.0
"""Seconds for which what runs anyway is watched: longer than the agent's and the scheduler's rounds."""


@attrs.frozen(order=True)
class Called:
    """One function that was called."""

    package: str
    place: str
    name: str
    is_leaf: bool = attrs.field(default=False, order=False)
    """Whether it was seen to call no function of the core but those that are given."""


class Watch:
    """Notes the functions that are called in this process, between two signals."""

    def __init__(self, notes: Path) -> None:
        self.notes = notes
        self.on = False
        self.seen: dict[CodeType, set[CodeType]] = {}
        """What was called, with what called it."""

    def install(self) -> None:
        signal.signal(signal.SIGUSR1, self._begin)
        signal.signal(signal.SIGUSR2, self._end)
        threading.setprofile(self._profile)
        sys.setprofile(self._profile)

    def _profile(self, frame: FrameType, event: str, _: object) -> None:
        if self.on and event == "call":
            callers = self.seen.setdefault(frame.f_code, set())
            if (caller := _caller(frame)) is not None:
                callers.add(caller)

    def _begin(self, *_: object) -> None:
        self.seen.clear()
        self.on = True

    def _end(self, *_: object) -> None:
        self.on = False
        lines = sorted(
            (*_place(code), sorted({_place(caller) for caller in callers})) for code, callers in self.seen.items()
        )
        draft = self.notes.with_suffix(".draft")
        draft.write_text(json.dumps(lines))
        draft.rename(self.notes)


class WatchedService(Service):
    """A service whose functions can be watched."""

    @property
    def notes(self) -> Path:
        return self.state / "called.json"

    def command(self) -> list[str]:
        plain = super().command()
        return [sys.executable, "-m", "tests.house.spine", "--watched", str(self.notes), *plain[3:]]

    def begin(self) -> None:
        self.notes.unlink(missing_ok=True)
        self._signal(signal.SIGUSR1)

    def end(self) -> set[Called]:
        self._signal(signal.SIGUSR2)
        while not self.notes.exists():
            time.sleep(0.01)
        return set(_known(json.loads(self.notes.read_text())))

    def _signal(self, which: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(which)


CORE = f"{ROOT / 'novakit'}/"


def _is_read(code: CodeType) -> bool:
    """Return whether it is a function of the core; what is written within one, or made of a class, is not read."""
    return code.co_filename.startswith(CORE) and "<" not in code.co_qualname.replace(".<locals>.", "")


def _caller(frame: FrameType) -> CodeType | None:
    """Return the function of the core that called one, through whatever libraries; None for what the loop began."""
    above = frame.f_back
    while above is not None and not _is_read(above.f_code):
        above = above.f_back
    return None if above is None else above.f_code


def _place(code: CodeType) -> tuple[str, str]:
    return code.co_filename, code.co_qualname


Line = tuple[str, str, Sequence[tuple[str, str]]]
"""File and name of a function, and the same of each that called it."""


def _known(lines: Sequence[Line]) -> Iterator[Called]:
    """Take the functions of the core, and tell the leaves among them."""
    core = ROOT / "novakit"
    found = {}
    for file, name, _ in lines:
        path = Path(file)
        if path.is_relative_to(core) and "<" not in name.replace(".<locals>.", ""):
            place = path.relative_to(core)
            found[file, name] = Called(place.parts[0] if len(place.parts) > 1 else ".", str(place), name)
    calling = {
        tuple(caller)
        for file, name, callers in lines
        if (file, name) in found and found[file, name].package not in GIVEN
        for caller in callers
    }
    for key, called in found.items():
        yield attrs.evolve(called, is_leaf=key not in calling)


async def measured(state: Path) -> set[Called]:
    """Return what one request runs through on a service that has made a server before."""
    with WatchedService(state, "--simulate", "1") as service:
        async with aiohttp.ClientSession() as session:
            api = await Api.login(service, session)
            image, network = await api.image(), await api.network()
            warm = await api.server("first", image, networks=[{"uuid": network}])
            await api.reach(warm, "ACTIVE")
            service.begin()
            await asyncio.sleep(IDLE)
            anyway = service.end()
            service.begin()
            made = await api.server("second", image, networks=[{"uuid": network}])
            await _written(state, made)
            known = {attrs.evolve(one, is_leaf=False) for one in anyway}
            return {one for one in service.end() if attrs.evolve(one, is_leaf=False) not in known}


async def _written(state: Path, server: str) -> None:
    """Wait for ACTIVE in the database: a request that asks would run through functions of its own."""
    [file] = state.glob("*.db")
    async with asyncio.timeout(60):
        while True:
            with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as database:
                [found] = database.execute("SELECT vm_state, task_state FROM servers WHERE id = ?", (server,))
            if found == ("active", None):
                return
            await asyncio.sleep(0.02)


def above_ground(found: set[Called]) -> set[Called]:
    """Return what is left without the given."""
    return {one for one in found if one.package not in GIVEN}


def spine(found: set[Called]) -> set[Called]:
    """Return what is left without the given and the leaves."""
    return {one for one in above_ground(found) if not one.is_leaf}


def main(names: bool = False) -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory(prefix="novakit-spine-") as folder:
        found = asyncio.run(measured(Path(folder) / "state"))
    by_package: Mapping[str, list[Called]] = defaultdict(list)
    for one in sorted(found):
        by_package[one.package].append(one)
    print("\none POST /servers, until ACTIVE:   functions  files")
    for package, called in sorted(by_package.items(), key=lambda pair: (pair[0] in GIVEN, -len(pair[1]))):
        given = " (given)" if package in GIVEN else ""
        print(f"  {package + given:32} {len(called):9} {len({one.place for one in called}):6}")
        if names:
            leaf = {True: " (leaf)", False: ""}
            print("".join(f"      {one.place}: {one.name}{leaf[one.is_leaf]}\n" for one in called), end="")
    leaves = above_ground(found) - spine(found)
    for title, some in (
        ("all", found),
        ("without the given", above_ground(found)),
        ("of them leaves", leaves),
        ("the spine: what calls others", spine(found)),
    ):
        print(f"  {title:32} {len(some):9} {len({one.place for one in some}):6}")
    print(f"  {'wanted, to read in one sitting':32} {WANTED[0]:9} {WANTED[1]:6}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--watched"]:
        from novakit.cli import main as novakit

        Watch(Path(sys.argv[2])).install()
        sys.argv = ["novakit", *sys.argv[3:]]
        sys.exit(novakit())
    main("--names" in sys.argv[1:])
