"""Sends requests to a service of this process, past any socket or through one, and looks at the answers."""

import asyncio
import itertools
import json
import os
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import attrs
import orjson
import pytest

from novakit import clouds, logs
from novakit.app import Process, running
from novakit.config import Config, ImageOptions
from novakit.config.connections import ConnectionOptions, SharingOptions
from novakit.identity import attempts
from tests.fuzz.requests import Drawing, Known, Request, dumped
from tests.support.service import free_port

HOST = (("Host", "x"), ("OpenStack-API-Version", "compute 2.100"))
QUOTAS = (("compute", "v2.1/os-quota-sets", "quota_set"), ("network", "v2.0/quotas", "quota"))
PROXIED = {"fixed_ips", "floating_ips", "security_groups", "security_group_rules"}
"""Quotas that the compute API shows and the network service keeps."""
WITHIN = 60.0
"""Seconds for an answer."""
SILENCE = 0.3
"""Seconds after which a request that announces more than it sends is given up."""

os.environ.setdefault("AIOHTTP_NOSENDFILE", "1")  # a transport without a socket cannot have the kernel send files


class Pipe(asyncio.Transport):
    """A transport that ends in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = bytearray()
        self.came = asyncio.Event()
        self.closed = False

    def write(self, data: Any) -> None:
        self.sent += data
        self.came.set()

    def writelines(self, list_of_data: Any) -> None:
        for data in list_of_data:
            self.write(data)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 1) if name in ("peername", "sockname") else default

    def close(self) -> None:
        self.closed = True
        self.came.set()

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def is_reading(self) -> bool:
        return True

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def get_write_buffer_size(self) -> int:
        return 0


@attrs.frozen
class Answer:
    """What came back; status 0 is nothing at all."""

    status: int
    body: bytes = b""


@attrs.define
class Target:
    """A running service, and who may ask it."""

    process: Process
    state: Path
    through_socket: bool = False
    tokens: dict[str, str] = attrs.field(factory=dict)

    async def send(self, request: Request) -> Answer:
        """Send one on a connection of its own."""
        raw = request.raw(self.tokens)
        within = SILENCE if request.encoding == "long" else WITHIN
        exchange = self._by_socket if self.through_socket else self._by_memory
        try:
            async with asyncio.timeout(within):
                return await exchange(raw, request.method)
        except TimeoutError:
            return Answer(599 if within == WITHIN else 0)
        except ConnectionError:
            return Answer(0)

    async def _by_memory(self, raw: bytes, method: str) -> Answer:
        assert self.process.protocol is not None
        protocol, pipe = self.process.protocol(), Pipe()
        protocol.connection_made(pipe)
        try:
            protocol.data_received(raw)
            while (answer := _parsed(bytes(pipe.sent), method, ended=pipe.closed)) is None:
                pipe.came.clear()
                await pipe.came.wait()
            return answer
        finally:
            protocol.connection_lost(None)

    async def _by_socket(self, raw: bytes, method: str) -> Answer:
        config = self.process.config
        reader, writer = await asyncio.open_connection(config.host, config.port)
        try:
            writer.write(raw)
            sent = b""
            while True:
                piece = await reader.read(65536)
                sent += piece
                if (answer := _parsed(sent, method, ended=not piece)) is not None:
                    return answer
        finally:
            writer.transport.abort()

    async def login(self) -> None:
        """Get fresh tokens of the administrator and of a user."""
        for persona, cloud in (("admin", "novakit-admin"), ("demo", "novakit")):
            keys = clouds.read(self.state / "clouds.yaml")[cloud]
            user = {"name": keys["username"], "domain": {"id": "default"}, "password": keys["password"]}
            scope = {"project": {"name": keys["project_name"], "domain": {"id": "default"}}}
            body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}}
            request = Request("POST", "/identity/v3/auth/tokens", (("Host", "x"),), body, persona="nobody")
            assert self.process.protocol is not None
            protocol, pipe = self.process.protocol(), Pipe()
            protocol.connection_made(pipe)
            protocol.data_received(request.raw({}))
            while (answer := _parsed(bytes(pipe.sent), "POST", ended=pipe.closed)) is None:
                pipe.came.clear()
                await asyncio.wait_for(pipe.came.wait(), WITHIN)
            protocol.connection_lost(None)
            assert answer.status == 201, answer
            head = bytes(pipe.sent).partition(b"\r\n\r\n")[0].lower()
            start = head.index(b"x-subject-token: ") + 17
            self.tokens[persona] = bytes(pipe.sent)[start:].partition(b"\r\n")[0].decode()
        self.tokens["garbage"] = "gAAAA" + "x" * 200

    async def lift(self) -> None:
        """Take every quota away: what is beyond one is refused before the route has done its work."""
        for persona, (service, path, key) in itertools.product(("admin", "demo"), QUOTAS):
            place = await self._project(persona)
            shown = await self.send(Request("GET", f"/{service}/{path}/{place}", HOST))
            names = [name for name, limit in orjson.loads(shown.body)[key].items() if isinstance(limit, int)]
            body = {key: dict.fromkeys(set(names) - PROXIED, -1)}
            answer = await self.send(Request("PUT", f"/{service}/{path}/{place}", HOST, body))
            assert answer.status == 200, answer

    async def _project(self, persona: str) -> str:
        answer = await self.send(Request("GET", "/identity/v3/auth/projects", HOST, persona=persona))
        return str(orjson.loads(answer.body)["projects"][0]["id"])


def _parsed(sent: bytes, method: str, *, ended: bool) -> Answer | None:
    """Read the final answer of a connection; None while it is not complete."""
    head, end, rest = sent.partition(b"\r\n\r\n")
    if not end:
        return Answer(0) if ended else None
    status = int(head.split(b" ", 2)[1])
    if 100 <= status < 200 and status != 101:
        return _parsed(rest, method, ended=ended)
    fields = head.lower()
    if method == "HEAD" or status in (204, 304):
        return Answer(status)
    if b"content-length: " in fields:
        length = int(fields.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        return Answer(status, rest[:length]) if len(rest) >= length or ended else None
    if b"transfer-encoding: chunked" in fields and not ended:
        return Answer(status, rest) if rest.endswith(b"0\r\n\r\n") else None
    return Answer(status, rest) if ended else None


@asynccontextmanager
async def target(directory: Path, database: str | None, *, through_socket: bool = False) -> AsyncIterator[Target]:
    """Start a whole cloud with simulated hosts in this process."""
    state = directory / "state"
    config = Config(
        state=state,
        port=free_port(),
        simulate=2,
        store_url=database,
        connections=ConnectionOptions(total=100_000, per_address=100_000),
        sharing=SharingOptions(strangers_rate=1e6),
        image=ImageOptions(images_each=-1, bytes_each=-1, members_each=-1),
    )
    state.mkdir(parents=True, exist_ok=True)
    logs.configure(state / "novakit.log")
    with pytest.MonkeyPatch.context() as patched:
        # Whoever guesses passwords is made to wait, and then nobody would see what comes after a wrong one.
        patched.setattr(attempts, "FREE", 1 << 40)
        patched.setattr(attempts, "FREE_OF_ADDRESS", 1 << 40)
        try:
            async with running(config) as process:
                found = Target(process, state, through_socket)
                await found.login()
                await found.lift()
                yield found
        finally:
            logs.configure(None)  # a line of the end would make the file again while its directory is removed


@attrs.define
class Failure:
    """A request that was answered as none may be."""

    request: Request
    status: int
    body: bytes

    def told(self, tokens: dict[str, str]) -> str:
        """Write it down so that it can be sent again: `python -m tests.fuzz --replay 'LINE'`."""
        fields = attrs.asdict(self.request, recurse=False) | {"status": self.status}
        if isinstance(self.request.body, bytes):
            fields["body"] = {"bytes": self.request.body.hex()}
        try:
            line = json.dumps(fields)
        except RecursionError:
            line = json.dumps(fields | {"body": {"bytes": dumped(self.request.body).hex()}})
        return line + f"\n    answered {self.status}: {self.body[:300]!r}"


def replayed(line: str) -> Request:
    """Read what `Failure.told` wrote."""
    fields = json.loads(line)
    fields.pop("status", None)
    body = fields.pop("body")
    if isinstance(body, dict) and set(body) == {"bytes"}:
        body = bytes.fromhex(body["bytes"])
    headers = tuple((name, text) for name, text in fields.pop("headers"))
    return Request(headers=headers, body=body, **fields)


def is_wrong(status: int) -> bool:
    """Say whether nobody may get such an answer; 501 is said of what the public API has and this cloud has not."""
    return status >= 500 and status != 501


async def fuzz(
    target: Target, drawing: Drawing, number: int, *, at_once: int = 8, say: Callable[[str], None] = print
) -> tuple[Counter[int], list[Failure]]:
    """Send so many requests; return how many had which status, and what failed, made small, one of a kind."""
    statuses: Counter[int] = Counter()
    failures: dict[str, Failure] = {}
    left = number
    await protect(target, drawing.known)

    async def work() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            if left % 2000 == 0:
                await target.login()
                say(f"{number - left} sent: {dict(sorted(statuses.items()))}, {len(failures)} kinds of failure")
            request = drawing.request()
            answer = await target.send(request)
            statuses[answer.status] += 1
            if answer.status < 300 and answer.body[:1] in (b"{", b"["):
                with suppress(orjson.JSONDecodeError):
                    drawing.known.learn(orjson.loads(answer.body))
            if is_wrong(answer.status):
                kind = f"{request.method} {request.target.partition('?')[0][:24]} {answer.status}"
                if kind not in failures and len(failures) < 60:
                    failures[kind] = Failure(request, answer.status, answer.body)
                    failures[kind] = await smaller(target, failures[kind])

    await asyncio.gather(*(work() for _ in range(at_once)))
    return statuses, list(failures.values())


async def protect(target: Target, known: Known) -> None:
    """Learn what is there, and note without what nobody could log in."""
    for path in ("users", "projects", "roles", "domains"):
        answer = await target.send(Request("GET", f"/identity/v3/{path}", (("Host", "x"),)))
        document = orjson.loads(answer.body)
        known.learn(document)
        known.protected |= {one["id"] for one in document[path]}
    known.protected |= {"default/", "/auth/tokens"} - {"/auth/tokens"}
    for path in (
        "/image/v2/images",
        "/network/v2.0/networks",
        "/compute/v2.1/flavors",
        "/placement/resource_providers",
    ):
        answer = await target.send(Request("GET", path, (("Host", "x"), ("OpenStack-API-Version", "placement 1.39"))))
        known.learn(orjson.loads(answer.body))


async def smaller(target: Target, failure: Failure, tries: int = 40) -> Failure:
    """Leave out what is not needed for the same failure."""
    best = failure
    for _ in range(tries):
        for candidate in _without_one(best.request):
            answer = await target.send(candidate)
            if is_wrong(answer.status):
                best = Failure(candidate, answer.status, answer.body)
                break
        else:
            return best
    return best


def _without_one(request: Request) -> list[Request]:
    found = []
    path, _, query = request.target.partition("?")
    if query:
        pairs = query.split("&")
        found += [
            attrs.evolve(request, target=f"{path}?{'&'.join(pairs[:place] + pairs[place + 1 :])}".rstrip("?"))
            for place in range(min(len(pairs), 6))
        ]
    found += [
        attrs.evolve(request, headers=request.headers[:place] + request.headers[place + 1 :])
        for place in range(len(request.headers))
    ]
    if isinstance(request.body, dict):
        found += [attrs.evolve(request, body=body) for body in _bodies(request.body)][:12]
    return found


def _bodies(body: dict[str, Any]) -> list[dict[str, Any]]:
    found = [{key: value for key, value in body.items() if key != left} for left in body]
    for key, value in body.items():
        if isinstance(value, dict):
            found += [{**body, key: inner} for inner in _bodies(value)]
    return found


def directory() -> "tempfile.TemporaryDirectory[str]":
    """Make a directory of its own for one run."""
    return tempfile.TemporaryDirectory(prefix="novakit-fuzz-")
