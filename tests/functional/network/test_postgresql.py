"""The same promises where transactions really run side by side."""

import asyncio
import contextlib
import os
import pwd
import shutil
import socket
import tempfile
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from novakit import errors
from novakit.context import RequestContext
from novakit.network import Networks
from novakit.network.networks import NewNetwork
from novakit.network.ports import NewPort
from novakit.network.subnets import NewSubnet
from novakit.store import Store


def binary(name: str) -> str:
    found = shutil.which(name) or next((str(path) for path in Path("/usr/lib/postgresql").glob(f"*/bin/{name}")), None)
    if found is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    return found


async def run(*words: str, user: str | None) -> None:
    process = await asyncio.create_subprocess_exec(*words, user=user, stdout=asyncio.subprocess.DEVNULL)
    assert await process.wait() == 0, words


@pytest.fixture
async def networks() -> AsyncIterator[Networks]:
    """A network service on a PostgreSQL of its own, run as its own user, reached on loopback alone."""
    control, initdb = binary("pg_ctl"), binary("initdb")
    place = Path(tempfile.mkdtemp(prefix="novakit-pg-"))
    user = None
    if os.geteuid() == 0:
        user = "postgres"
        os.chown(place, pwd.getpwnam(user).pw_uid, -1)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data, options = str(place / "data"), f"-p {port} -c listen_addresses=127.0.0.1 -c fsync=off -k {place}"
    try:
        await run(initdb, "-D", data, "-A", "trust", "-U", "novakit", "--no-sync", user=user)
        await run(control, "-D", data, "-o", options, "-l", str(place / "log"), "-w", "start", user=user)
        store = await Store.open(f"postgresql+asyncpg://novakit@127.0.0.1:{port}/postgres")
        await store.create_all()
        yield Networks(store)
        await store.close()
    finally:
        with contextlib.suppress(AssertionError):
            await run(control, "-D", data, "-m", "immediate", "stop", user=user)
        shutil.rmtree(place, ignore_errors=True)


async def test_no_address_is_given_twice_and_nothing_fails_that_need_not(networks: Networks) -> None:
    caller = RequestContext(request_id="r", user_id="u", project_id="p", roles=frozenset({"member"}))

    made = await asyncio.gather(*(networks.networks.create(caller, [NewNetwork(name="n")]) for _ in range(8)))
    net = made[0][0].network.id
    asked = NewSubnet(network_id=net, cidr="10.0.0.0/26")
    ranges = [networks.subnets.create(caller, [asked]) for _ in range(4)]
    results = await asyncio.gather(*ranges, return_exceptions=True)
    assert sum(isinstance(result, list) for result in results) == 1, "subnets of one network do not overlap"
    await networks.host_up("gw")
    found = await asyncio.gather(*(networks.ports.create(caller, [NewPort(network_id=net)]) for _ in range(50)))
    assert len({one.addresses[0].number for (one,) in found}) == 50
    cards = await networks.check_request(caller, [{"uuid": net}])
    keys = [str(uuid.uuid4()) for _ in range(20)]
    wired = [networks.allocate(server_id=key, project_id="p", hostname="h", requested=cards) for key in [*keys, *keys]]
    rest = await asyncio.gather(*wired, return_exceptions=True)
    assert sum(isinstance(one, list) for one in rest) == 22, "eleven servers, each asked for twice"
    assert all(isinstance(one, errors.Conflict) for one in rest if not isinstance(one, list))
    for key in keys:
        await networks.bind(key, "a")
    top = await networks.topology("a")
    assert len({port.addresses[0].ip for port in top.ports}) == 11
