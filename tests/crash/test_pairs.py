"""Every two verbs on one server at the same moment: whichever wins, everything ends and nothing is left over.

The pairs are made from the verbs that there are, thirty servers at a time: all of them on SQLite, a drawn sample on
PostgreSQL, where requests really are decided side by side.
"""

import asyncio
import itertools
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from novakit.conductor.verb import Verb
from novakit.conductor.verbs import VERBS
from novakit.store import Store, operations
from tests.crash.quick import OPTIONS
from tests.support.service import Api, Service
from tests.support.stores import open_store

AT_ONCE = 30
WITHIN = 90.0
VALUES: dict[str, list[Any]] = {
    "reboot": [{"type": "SOFT"}, {"type": "HARD"}],
    "resetState": [{"state": "error"}, {"state": "active"}],
}
WAYS = {
    "active": (),
    "stopped": ("os-stop",),
    "paused": ("pause",),
    "suspended": ("suspend",),
    "shelved": ("shelve",),
    "shelved_offloaded": ("shelve", "shelveOffload"),
    "error": (("os-resetState", {"state": "error"}),),
}
"""What brings a new server into each state at rest."""
Request = tuple[str, Any]


def by(some: Sequence[Any], count: int) -> list[list[Any]]:
    """Cut a sequence into lists of `count`."""
    return [list(some[at : at + count]) for at in range(0, len(some), count)]


def requests() -> list[tuple[Verb[Any], Request]]:
    """Give every request that can be made of a server, with its verb."""
    made = [
        (verb, (verb.action.name, value))
        for verb in VERBS.values()
        if verb.action
        for value in VALUES.get(verb.kind, [None])
    ]
    return [*made, (VERBS["delete"], ("DELETE", None))]


def begins(verb: Verb[Any]) -> set[str]:
    """Give the states at rest in which a verb may be asked for."""
    moves = [move for move in verb.moves if move.event.startswith("request")]
    return {state for state in WAYS if not moves or any(move.allows(state, None) for move in moves)}


def pairs() -> list[tuple[str, Request, Request]]:
    """Give every two requests, the same twice too, with the state in which the most of them are possible."""
    found = []
    for (first, one), (second, two) in itertools.combinations_with_replacement(requests(), 2):
        both, either = begins(first) & begins(second), begins(first) | begins(second)
        found.append((min(both or either, key=list(WAYS).index), one, two))
    return found


def while_built() -> list[tuple[str, Request, Request]]:
    """Give what is done to servers that are being built: every request beside a delete, and beside a reset."""
    others: list[Request] = [("DELETE", None), ("os-resetState", {"state": "error"})]
    return [("building", one, other) for other in others for _, one in requests()]


class Arena:
    """A service, and servers on which two things are done at once."""

    def __init__(self, service: Service, session: aiohttp.ClientSession, store: Store):
        self.service, self.session, self.store = service, session, store
        self.api: Api
        self.image = ""

    async def open(self) -> None:
        self.api = await Api.login(self.service, self.session, "novakit-admin")
        quota = {"quota_set": {"instances": -1, "cores": -1, "ram": -1, "force": True}}
        await self.api.ok("PUT", f"/compute/v2.1/os-quota-sets/{self.api.project_id}", quota, version="2.56")
        self.image = await self.api.image(content=bytes(512))

    async def ask(self, server: str, request: Request) -> int:
        """Make one request; what the state does not allow is refused, and nothing else is."""
        name, value = request
        if name == "DELETE":
            status, answer = await self.api.call("DELETE", f"/compute/v2.1/servers/{server}")
        else:
            status, answer = await self.api.call("POST", f"/compute/v2.1/servers/{server}/action", {name: value})
        assert status in (202, 204, 404, 409), (request, status, answer)
        return int(status)

    async def round(self, some: list[tuple[str, Request, Request]]) -> None:
        """Bring servers into their states, do two things to each of them at once, and look at what came of it."""
        body = {"name": "p", "imageRef": self.image, "flavorRef": "1", "networks": "none",
                "min_count": len(some), "max_count": len(some), "return_reservation_id": True}  # fmt: skip
        await self.api.ok("POST", "/compute/v2.1/servers", {"server": body})
        if some[0][0] != "building":
            await self.api.settled(WITHIN)
        servers = [each["id"] for each in (await self.api.ok("GET", "/compute/v2.1/servers"))["servers"]]
        assert len(servers) == len(some)
        for turn in range(2):
            for server, (state, _, _) in zip(servers, some, strict=True):
                for way in WAYS.get(state, ())[turn : turn + 1]:
                    assert await self.ask(server, way if isinstance(way, tuple) else (way, None)) == 202
            if some[0][0] != "building":
                await self.api.settled(WITHIN)
        answers = await asyncio.gather(
            *(self.ask(server, each) for server, pair in zip(servers, some, strict=True) for each in pair[1:])
        )
        for (state, *pair), won in zip(some, by(answers, 2), strict=True):
            assert min(won) < 300 or not any(self.possible(each, state) for each in pair), (state, pair, won)
        await self.at_rest(deleted=[server for server, pair in zip(servers, some, strict=True) if self.deletes(pair)])
        for server, pair in zip(servers, some, strict=True):
            await self.decided_once(server, pair)
            await self.ask(server, ("DELETE", None))
        await self.at_rest(deleted=servers)

    async def decided_once(self, server: str, pair: tuple[str, Request, Request]) -> None:
        """Insist that no operation found a server in another state than the one it was accepted in."""
        if any(name == "os-resetState" for name, _ in pair[1:]):
            return
        async with self.store.read() as session:
            done = await operations.of_server(session, server)
        told = [(row["kind"], row["state"], row["reason"]) for row in done]
        assert not [each for each in told if "changed meanwhile" in (each[2] or "")], (pair, told)

    @staticmethod
    def possible(request: Request, state: str) -> bool:
        """Say whether the state alone allows a request."""
        if state == "error" and request in (("unshelve", None), ("reboot", {"type": "SOFT"})):
            return False  # one is for a server on no host, and the other for one that is not in error
        return any(asked == request and state in begins(verb) for verb, asked in requests())

    @staticmethod
    def deletes(pair: tuple[str, Request, Request]) -> bool:
        return any(name in ("DELETE", "forceDelete") for name, _ in pair[1:])

    async def at_rest(self, deleted: list[str]) -> None:
        """Insist that all that was begun ends, that nothing is orphaned, and that what was deleted is gone."""
        deadline = time.monotonic() + WITHIN
        while True:
            async with self.store.read() as session:
                left = await operations.unfinished(session)
            if not left:
                break
            told = [(row["kind"], row["state"], row["step"], row["reason"]) for row in left]
            assert time.monotonic() < deadline, told
            await asyncio.sleep(0.05)
        servers = (await self.api.ok("GET", "/compute/v2.1/servers/detail"))["servers"]
        assert not [each for each in servers if each["OS-EXT-STS:task_state"] or each["id"] in deleted]
        deadline = time.monotonic() + WITHIN
        while True:
            found = (await self.api.ok("GET", "/novakit/v1/audit"))["audit"]
            if not found["orphaned"] and not found["unchecked"]:
                break
            # A server that was said to be active while its guest was removed is found out by its host's reports.
            assert time.monotonic() < deadline, found
        assert found["counted"]["servers"] == len(servers)
        if not servers:
            assert found["counted"]["guests"] == 0, "no guest outlives its server"


async def fight(state: Path, url: str, some: list[tuple[str, Request, Request]]) -> None:
    state.mkdir()
    (state / "novakit.toml").write_text(f'database = "{url}"\n{OPTIONS}')
    with Service(state, "--simulate", "4") as service:
        async with aiohttp.ClientSession() as session:
            store = await open_store(url)
            arena = Arena(service, session, store)
            await arena.open()
            for batch in by(some, AT_ONCE):
                await arena.round(batch)
            await arena.round(while_built())
            await store.close()
    assert "Traceback" not in (state / "novakit.log").read_text()


@pytest.mark.slow
async def test_every_two_verbs_at_once_end_and_leave_nothing(tmp_path: Path) -> None:
    await fight(tmp_path / "state", f"sqlite+aiosqlite:///{tmp_path}/state/novakit.db", pairs())


@pytest.mark.slow
async def test_two_verbs_at_once_end_and_leave_nothing_on_postgresql(tmp_path: Path, postgres_url: str) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    drawn = random.Random(seed)
    everything = pairs()
    fatal = [pair for pair in everything if Arena.deletes(pair)]
    some = drawn.sample(fatal, AT_ONCE // 2) + drawn.sample(everything, AT_ONCE // 2)
    await fight(tmp_path / "state", postgres_url, some)
