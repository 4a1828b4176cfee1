"""What hosts report of themselves."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from novakit.bus import MemoryBus, Message
from novakit.compute.parts import Parts
from novakit.compute.reports import Reports
from novakit.compute.wiring import Wiring
from novakit.config import Config
from novakit.identity import Identity
from novakit.image import Images
from novakit.network import Networks
from novakit.placement import Placement
from novakit.store import Store, hosts, tables  # noqa: F401
from novakit.store.placement.hosts import device_id
from novakit_hookspecs.hosts import HostFacts, Inventory, PciDevice
from novakit_hookspecs.plain import to_plain


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[Parts]:
    store = await Store.open(f"sqlite+aiosqlite:///{tmp_path}/cloud.db")
    await store.create_all()
    bus, networks = MemoryBus().join("conductor"), Networks(store)
    yield Parts(
        config=Config(state=tmp_path),
        store=store,
        bus=bus,
        identity=Identity(store, tmp_path / "keys", {}),
        images=Images(store, tmp_path / "images"),
        networks=networks,
        placement=Placement(store),
        wiring=Wiring(networks, bus),
    )
    await store.close()


def _report(host: str, vcpus: int, *pci: PciDevice) -> Message:
    facts = HostFacts(
        hypervisor_type="simulated",
        hypervisor_version=1,
        hypervisor_hostname=host,
        inventory={"VCPU": Inventory(total=vcpus)},
        pci=pci,
    )
    body: dict[str, Any] = {"facts": to_plain(facts), "guests": [], "building": [], "started": False}
    return Message(f"agent:{host}", body)


async def test_a_host_whose_report_cannot_be_written_keeps_no_other_from_reporting(parts: Parts) -> None:
    reports = Reports(parts)
    beyond_any_integer = 1 << 80
    messages = [_report("a", 4), _report("rogue", beyond_any_integer), _report("b", 4)]
    outcomes = await asyncio.gather(*(reports.host(each) for each in messages), return_exceptions=True)
    assert [outcome is None for outcome in outcomes] == [True, False, True]
    async with parts.store.read() as session:
        assert [row["name"] for row in await hosts.every(session)] == ["a", "b"]


async def test_only_agents_report(parts: Parts) -> None:
    with pytest.raises(PermissionError, match="is not an agent"):
        await Reports(parts).host(Message("api", _report("a", 4).body))


async def test_a_device_that_went_while_it_was_held_goes_from_the_ledger_once_it_is_free(parts: Parts) -> None:
    reports, server = Reports(parts), "22222222-2222-2222-2222-222222222222"
    device = PciDevice(address="0000:3b:00.0", kind="a100")
    await reports.host(_report("a", 4, device))
    async with parts.store.write() as session:
        (row,) = await hosts.every(session)
        provider = device_id(row["provider_id"], device.address)
        held = {provider: {device.resource_class: 1}}
        assert await parts.placement.claim(session, server, project_id="p", user_id="u", allocations=held)

    async def stock() -> set[str]:
        async with parts.store.read() as session:
            return set(await parts.placement.inventories(session))

    await reports.host(_report("a", 4))
    await reports.host(_report("a", 4))
    assert await stock() == {row["provider_id"], provider}
    async with parts.store.write() as session:
        await parts.placement.release(session, server)
    await reports.host(_report("a", 4))
    assert await stock() == {row["provider_id"]}
