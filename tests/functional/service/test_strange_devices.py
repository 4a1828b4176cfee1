"""Devices that hosts hold for what the database does not know: kept, reserved, told of, and removed by a word alone."""

import asyncio
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from novakit_simulated.journal import Journal
from tests.support.service import Api, Service

TOPOLOGY = {
    "cells": [{"id": 0, "cpus": list(range(16)), "memory_mb": 32768}],
    "pci": [
        {"address": f"0000:{bus:02x}:00.0", "kind": "a100", "vendor_id": "10de", "product_id": "20b5", "numa_cell": 0}
        for bus in range(0x10, 0x13)
    ],
}
REMAINS = "99999999-0000-4000-8000-000000000001"
REPORTS = 3.0
"""Seconds in which the host reports several times, and whatever were to be removed would be."""


def held(state: Path) -> dict[str, list[str]]:
    """Give the devices of each guest as its host has them."""
    records = Journal.open(str(state / "agents" / "sim" / "virt" / "guests.journal")).records
    return {guest: list(record.get("devices", ())) for guest, record in records.items()}


def told(state: Path, *words: str) -> Any:
    command = [sys.executable, "-m", "novakit", *words, "--format", "json", "--state", str(state)]
    done = subprocess.run(command, text=True, capture_output=True, timeout=120, check=False)
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


async def login(service: Service, session: aiohttp.ClientSession) -> Api:
    api = await Api.login(service, session, "novakit-admin")
    flavors = (await api.ok("GET", "/compute/v2.1/flavors"))["flavors"]
    if "gpu" not in {each["id"] for each in flavors}:
        flavor = {"id": "gpu", "name": "gpu", "vcpus": 1, "ram": 512, "disk": 1}
        await api.ok("POST", "/compute/v2.1/flavors", {"flavor": flavor})
        specs = {"extra_specs": {"pci_passthrough:alias": "a100:1"}}
        await api.ok("POST", "/compute/v2.1/flavors/gpu/os-extra_specs", specs)
    return api


async def reserved(api: Api) -> int:
    """Count the devices that are taken in the ledger."""
    listed = (await api.ok("GET", "/placement/resource_providers"))["resource_providers"]
    used = [(await api.ok("GET", f"/placement/resource_providers/{each['uuid']}/usages"))["usages"] for each in listed]
    return sum(each.get("CUSTOM_PCI_A100", 0) for each in used)


async def withheld(api: Api) -> list[str]:
    """Name the providers of devices that are reserved in full."""
    listed = (await api.ok("GET", "/placement/resource_providers"))["resource_providers"]
    found = []
    for each in listed:
        stock = (await api.ok("GET", f"/placement/resource_providers/{each['uuid']}/inventories"))["inventories"]
        found += [each["name"] for name, one in stock.items() if name == "CUSTOM_PCI_A100" and one["reserved"] == 1]
    return found


@pytest.mark.parametrize("store", ["empty", "older"])
async def test_devices_of_unknown_guests_stay_are_reserved_and_told_of(tmp_path: Path, store: str) -> None:
    state, topology = tmp_path / "state", tmp_path / "topology.json"
    state.mkdir()
    topology.write_text(json.dumps(TOPOLOGY))
    (state / "novakit.toml").write_text(
        f'[agent]\nhost = "sim"\nreport_every = 0.5\n\n[drivers.simulated]\ntopology = "{topology}"\n'
    )
    async with aiohttp.ClientSession() as session:
        with Service(state) as service:
            api = await login(service, session)
            await api.image()
        shutil.copytree(state, tmp_path / "backup")
        with Service(state) as service:
            api = await login(service, session)
            image = (await api.ok("GET", "/image/v2/images"))["images"][0]["id"]
            mine = await api.server("mine", image, flavor="gpu")
            await api.reach(mine, "ACTIVE")
        ((_, [device]),) = held(state).items()
        last = min({each["address"] for each in TOPOLOGY["pci"]} - {device})  # type: ignore[index]
        # What a build that was cut off has left: no guest, and a device.
        left = {"power": "building", "why": "", "devices": [last]}
        Journal.open(str(state / "agents" / "sim" / "virt" / "guests.journal")).put(REMAINS, left)
        for path in state.glob("novakit.db*"):
            path.unlink()
        if store == "older":
            shutil.copy(tmp_path / "backup" / "novakit.db", state)
        with Service(state) as service:
            await asyncio.sleep(REPORTS)
            assert held(state) == {mine: [device], REMAINS: [last]}, "nothing is taken away on suspicion"
            api = await login(service, session)
            assert await reserved(api) == 1
            strange = (await asyncio.to_thread(told, state, "guest", "list"))["guests"]
            assert [(each["id"], each["held"]["CUSTOM_PCI_A100"]) for each in strange] == (
                [(mine, 1)] if store == "empty" else []
            )
            things = (await asyncio.to_thread(told, state, "host", "strangers"))["strangers"]
            assert ("device", last, REMAINS) in {(each["kind"], each["name"], each["owner"]) for each in things}
            assert {each["owner"] for each in things} == {REMAINS}
            asked = [sys.executable, "-m", "novakit", "host", "remove", last, "--state", str(state)]
            said = await asyncio.to_thread(subprocess.run, asked, text=True, capture_output=True, check=False)
            assert said.returncode == 2 and len(things) > 1
            assert all(f"{each['kind']} {each['name']} on" in said.stdout for each in things), "what goes with it"
            orphaned = (await asyncio.to_thread(told, state, "audit"))["orphaned"]
            named = {each["name"] for each in orphaned}
            assert last in named and device not in named and (mine in named) == (store == "empty")
            rows = {each["check"]: each["found"] for each in await asyncio.to_thread(told, state, "doctor")}
            assert last in rows["hosts"] and (mine in rows["guests"] or "mine" in rows["guests"]) == (store == "empty")
            assert await withheld(api) == [f"sim_{last}"]
            image = await api.image()
            given = await api.server("given", image, flavor="gpu")
            await api.reach(given, "ACTIVE")
            assert held(state)[given] not in ([device], [last]), "the only host is not given what remains hold"
            none_left = await api.server("none left", image, flavor="gpu")
            await api.reach(none_left, "ERROR")
            (done,) = await asyncio.to_thread(told, state, "host", "remove", REMAINS, "--yes")
            assert done["outcome"] == "removed" and held(state) == {mine: [device], given: held(state)[given]}
            async with asyncio.timeout(20):
                while await withheld(api):
                    await asyncio.sleep(0.1)
            after = await api.server("after", image, flavor="gpu")
            await api.reach(after, "ACTIVE")
            assert held(state)[after] == [last]
