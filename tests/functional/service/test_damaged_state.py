"""Bytes of the state that change while nothing runs: the next start serves, or says in one sentence why it does not.

Whatever it makes of them, it destroys no guest. `NOVAKIT_TEST_DAMAGE=40` tries each file forty times.
"""

import asyncio
import os
import random
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import attrs
import pytest

from novakit_simulated.journal import Journal
from tests.support.service import READY_WITHIN, STOP_WITHIN, Api, Service

TRIES = int(os.environ.get("NOVAKIT_TEST_DAMAGE", "1"))
SETTLES = 1.5
"""Seconds after a start in which hosts have reported and what is found wrong with guests is acted on."""
JOURNAL = "agents/*/virt/guests.journal"
KINDS = (
    *("agents/*/deployment", "agents/*/directory", "agents/*/guests/notes.journal", "agents/*/guests/networks.json"),
    *("agents/*/network/network.journal", "agents/*/topology.json", JOURNAL),
    *("clouds.yaml", "credentials/*", "enrolled/*", "deployment", "keys/*"),
    *("novakit.db", "novakit.db-wal", "novakit.db-shm", "novakit.log"),
)
"""The files of a state directory that has guests, the locks aside."""


def _flip(content: bytearray, chance: random.Random) -> None:
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)


def _flip_some(content: bytearray, chance: random.Random) -> None:
    for _ in range(20):
        _flip(content, chance)


def _cut(content: bytearray, chance: random.Random) -> None:
    del content[chance.randrange(len(content)) :]


def _blank(content: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(content))
    content[at : at + 512] = bytes(len(content[at : at + 512]))


def _insert(content: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(content))
    content[at:at] = chance.randbytes(chance.randint(1, 40))


DAMAGES: tuple[Callable[[bytearray, random.Random], None], ...] = (_flip, _flip_some, _cut, _blank, _insert)


@attrs.frozen
class Cloud:
    """A state directory whose service was killed, and its guests."""

    state: Path
    guests: frozenset[str]


async def _fill(service: Service) -> frozenset[str]:
    async with aiohttp.ClientSession() as session:
        api = await Api.login(service, session)
        network, image = await api.network(), await api.image()
        made = [await api.server(f"s{number}", image, networks=[{"uuid": network}]) for number in range(2)]
        for server in made:
            await api.reach(server, "ACTIVE")
        async with asyncio.timeout(READY_WITHIN):
            # A host writes down what stands around its guests a moment after they are built.
            while not all(any(service.state.glob(kind)) for kind in KINDS):
                await asyncio.sleep(0.1)
        return frozenset(made)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    state = tmp_path_factory.mktemp("damaged") / "state"
    with Service(state) as service:
        guests = asyncio.run(_fill(service))
        service.kill()
    for left in state.rglob("*.sock"):
        left.unlink()
    yield Cloud(state, guests)


def _started(service: Service, errors: Path) -> tuple[int | None, str]:
    """Start on what there is, and stop. Give the exit code of a start that failed, and what it said."""
    with errors.open("w") as said, service.printed().open("w") as printed:
        process = subprocess.Popen(service.command(), stdout=printed, stderr=said)
    try:
        deadline = time.monotonic() + READY_WITHIN
        while process.poll() is None and "novakit ready" not in service.printed().read_text():
            assert time.monotonic() < deadline, "it neither serves nor ends"
            time.sleep(0.05)
        if process.poll() is None:
            time.sleep(SETTLES)
        code = process.poll()
        if code is None:
            process.terminate()
            assert process.wait(STOP_WITHIN) == 0
        return code, errors.read_text()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(STOP_WITHIN)


@pytest.mark.timeout(120 * TRIES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_is_served_with_or_told_of_and_costs_no_guest(cloud: Cloud, kind: str, tmp_path: Path) -> None:
    found = sorted(cloud.state.glob(kind))
    assert found, f"a service that was killed leaves no {kind}"
    for number in range(TRIES):
        chance = random.Random(f"{kind} {number}")
        state = tmp_path / f"state{number}"
        shutil.copytree(cloud.state, state)
        damaged = state / chance.choice(found).relative_to(cloud.state)
        content, damage = bytearray(damaged.read_bytes()), chance.choice(DAMAGES)
        damage(content, chance)
        damaged.write_bytes(content)
        code, said = _started(Service(state), tmp_path / "errors")
        what = f"{damaged} after {damage.__name__} in try {number}: {code} {said}"
        assert code in (None, 2), what
        if code == 2:
            assert re.fullmatch(r"novakit: [^\n]+[.)]\n", said), what
        assert "Traceback" not in said, what
        if kind != JOURNAL:
            (journal,) = state.glob(JOURNAL)
            assert set(Journal.open(str(journal)).records) == cloud.guests, what
        shutil.rmtree(state)
