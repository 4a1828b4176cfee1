"""What servers add up to on their hosts."""

from pathlib import Path

from novakit import world
from novakit.store.compute import host_loads, servers
from tests.support.stores import sqlite_store


async def test_a_server_whose_flavor_says_nothing_of_an_ephemeral_disk_takes_its_root_disk(tmp_path: Path) -> None:
    store = await sqlite_store(tmp_path / "x.db")
    now = world.now()
    owned = {"project_id": "p", "user_id": "u", "name": "n", "hostname": "n", "reservation_id": "r"}
    row = {
        **owned,
        "vm_state": "active",
        "host": "h",
        "vcpus": 1,
        "memory_mb": 64,
        "created_at": now,
        "updated_at": now,
    }
    flavor = {"id": "1", "name": "tiny", "vcpus": 1, "ram": 64, "disk": 3}
    async with store.write() as session:
        for each in (flavor, {**flavor, "ephemeral": 4}):
            await servers.add(session, [{**row, "id": world.new_id(), "flavor": each}])
    async with store.read() as session:
        (found,) = await host_loads.sums(session)
    assert found["disk"] == 3 + 3 + 4
    await store.close()
