import asyncio
import json
from collections import Counter

import aiohttp
import pytest

from novakit_simulated.journal import Journal
from tests.support.service import Api, Service

HOSTS, CELLS, CORES = 5, 2, 10
TOPOLOGY = {
    "cells": [
        {
            "id": cell,
            "dedicated": list(range(cell * CORES, cell * CORES + CORES)),
            "siblings": [[cpu, cpu + 1] for cpu in range(cell * CORES, cell * CORES + CORES, 2)],
            "memory_mb": 32768,
        }
        for cell in range(CELLS)
    ]
}
PINNED = {"hw:cpu_policy": "dedicated"}


@pytest.fixture
def service(tmp_path):
    state = tmp_path / "state"
    state.mkdir()
    topology = tmp_path / "topology.json"
    topology.write_text(json.dumps(TOPOLOGY))
    (state / "novakit.toml").write_text(f'[agent]\nhost = "sim"\n\n[drivers.simulated]\ntopology = "{topology}"\n')
    with Service(state, "--simulate", str(HOSTS)) as running:
        yield running


def guests(service):
    """Give what each host was told of its guests: host, server, record."""
    for directory in sorted((service.state / "agents").glob("sim-*")):
        for server, record in Journal.open(str(directory / "virt" / "guests.journal")).records.items():
            yield directory.name, server, record


def held(service):
    """Count how often each core of each host is held."""
    return Counter(
        (host, cpu) for host, _, record in guests(service) for taken in record["numa"] for cpu in taken["cpus"]
    )


async def until_gone(api, server):
    async with asyncio.timeout(120):
        while (await api.call("GET", f"/compute/v2.1/servers/{server}"))[0] != 404:
            await asyncio.sleep(0.05)


async def test_fifty_pinned_servers_at_once_share_no_core_and_give_theirs_back(service):
    async with aiohttp.ClientSession() as session:
        api, admin = await Api.login(service, session), await Api.login(service, session, "novakit-admin")
        unlimited = {"quota_set": {"instances": -1, "cores": -1, "ram": -1, "force": True}}
        await admin.ok("PUT", f"/compute/v2.1/os-quota-sets/{api.project_id}", unlimited, version="2.56")
        flavor = {"flavor": {"id": "pinned", "name": "pinned", "vcpus": 2, "ram": 512, "disk": 1}}
        await admin.ok("POST", "/compute/v2.1/flavors", flavor)
        await admin.ok("POST", "/compute/v2.1/flavors/pinned/os-extra_specs", {"extra_specs": PINNED})
        image = await api.image()
        servers = await asyncio.gather(*(api.server(f"s{number}", image, "pinned") for number in range(50)))
        assert Counter(each["status"] for each in await api.settled()) == {"ACTIVE": 50}
        cores = held(service)
        assert len(cores) == HOSTS * CELLS * CORES and set(cores.values()) == {1}
        for _, _, record in guests(service):
            (taken,) = record["numa"]
            assert [guest for guest, _ in taken["pins"]] == [0, 1] and [cpu for _, cpu in taken["pins"]] == taken[
                "cpus"
            ]

        late = await api.server("late", image, "pinned")
        await api.settled()
        shown = (await api.ok("GET", f"/compute/v2.1/servers/{late}"))["server"]
        assert shown["status"] == "ERROR" and "lack PCPU" in shown["fault"]["message"]

        for server in servers[:25]:
            await api.ok("DELETE", f"/compute/v2.1/servers/{server}")
        for server in [*servers[:25]]:
            await until_gone(api, server)
        assert sum(held(service).values()) == 50
        await asyncio.gather(*(api.server(f"n{number}", image, "pinned") for number in range(25)))
        assert Counter(each["status"] for each in await api.settled()) == {"ACTIVE": 50, "ERROR": 1}
        cores = held(service)
        assert len(cores) == HOSTS * CELLS * CORES and set(cores.values()) == {1}
