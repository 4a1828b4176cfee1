"""Replaying what a scheduler decided under other rules."""

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import orjson
import pytest

from novakit import world
from novakit.calls import traces
from novakit.cli import main
from novakit.scheduler.pipeline.compose import Offered, PipelineOptions
from novakit.scheduler.whatif import lines, simulate
from novakit.store.compute import aggregates, hosts, servers
from novakit.store.placement import inventories, resource_providers, traits
from novakit.store.placement.inventories import StatedInventory
from novakit.store.scheduler import host_metrics
from novakit_filters import novakit_filters
from novakit_hookspecs import columns
from novakit_hookspecs.columns import Kind
from novakit_hookspecs.hosts import PciDevice
from novakit_hookspecs.numa import NumaCell
from novakit_hookspecs.ranking import SchedulerSpec
from novakit_weighers import novakit_weighers
from tests.support.patience import PATIENT

PLUGIN = Path(__file__).parents[2] / "data" / "plugins" / "allocator"


FILTERS = [Offered(spec, "novakit-filters", stock=True) for spec in novakit_filters()]


WEIGHERS = [Offered(spec, "novakit-weighers", stock=True) for spec in novakit_weighers()]


async def written(scheduler: Any, limit: int = 1000) -> lines.Trace:
    """Record a trace and read it again, as a file would hold it."""
    return lines.read([orjson.dumps(entry) for entry in traces.lines(await scheduler.trace(limit))])


async def replayed(trace: lines.Trace, driver: Offered | None = None, **options: Any) -> simulate.Result:
    return await simulate.replay(trace, FILTERS, WEIGHERS, PipelineOptions(**options), None, driver)


def made(hosts: Iterable[Mapping[str, Any]], *events: Mapping[str, Any]) -> lines.Trace:
    return lines.read([orjson.dumps(entry) for entry in (*hosts, *events)])


def asked(server: str, at: float = 0, memory_mb: int = 1024, **more: Any) -> dict[str, Any]:
    ask = {"server_id": server, "project_id": "p", "user_id": "u", "resources": {"MEMORY_MB": memory_mb}}
    return {"at": at, "ask": {**ask, **more}}


def holder(name: str, memory_mb: int = 1024, **more: Any) -> dict[str, Any]:
    stock = {"MEMORY_MB": {"total": memory_mb, "capacity": memory_mb, "max_unit": memory_mb}}
    return {"host": name, "stock": stock, **more}


async def everything(cloud: Any, make: Any) -> Any:
    """Make a cloud in which every column holds something."""
    cells = [NumaCell(id=number, dedicated=range(number * 4, number * 4 + 4), memory_mb=8192) for number in range(2)]
    nics = [PciDevice(address=f"0000:{bus:02x}:00.0", kind="nic", numa_cell=bus % 2) for bus in range(4)]
    await cloud.add_hosts(2, memory_mb=65536, numa=cells, pci=nics)
    await cloud.add_hosts(3, start=2)
    async with cloud.store.write() as session:
        (root,) = [row["provider_id"] for row in await hosts.every(session) if row["name"] == "host1"]
        await resource_providers.create(session, id=(card := world.new_id()), name="card", parent_id=root)
        even = StatedInventory(total=64, max_unit=64, step_size=2)
        await inventories.replace(session, card, dict.fromkeys(("VCPU", "MEMORY_MB", "DISK_GB"), even))
        await traits.replace(session, card, {"HW_CPU_X86_AVX2"})
    scheduler = cloud.scheduler()
    facts = frozenset({*columns.FACTS, "metric_*"})
    scheduler.state.wanted = scheduler.state.measurements.wanted = facts
    specs = {"hw:cpu_policy": "dedicated", "pci_passthrough:alias": "nic:1"}
    await scheduler.select([make(vcpus=2, memory_mb=512, extra_specs=specs), make(), make()])
    async with cloud.store.write() as session:
        (one, *_) = await hosts.every(session)
        told = {**one["facts"], "host_ip": "192.0.2.1", "cpu_info": {"arch": "x86_64"}, "hypervisor_version": 7002000}
        told["machine_types"] = ["pc", "q35"]
        await hosts.report(session, "host4", {**told, "cell": "cell2", "numa": [], "pci": []})
        await hosts.decide(session, "host3", enabled=False, disabled_reason="a broken fan")
        await hosts.decide(session, "host2", forced_down=True)
        await host_metrics.put(session, {"host1": {"cpu_percent": 7.5, "power_usage_watts": 99.0}})
        common: dict[str, Any] = {"project_id": "p", "user_id": "u", "name": "s", "hostname": "s"}
        common |= {"vm_state": "active", "vcpus": 1, "memory_mb": 1, "reservation_id": "r-1"}
        now = world.now()
        common |= {"created_at": now, "updated_at": now}
        row = {"host": "host0", "task_state": "spawning", "flavor": {"name": "big"}, "image_properties": {"os": "x"}}
        await servers.add(session, [{"id": world.new_id(), **common, **row}])
        rack = await aggregates.add(session, "rack", {"availability_zone": "north", "ssd": "true"})
        await aggregates.add_host(session, rack["id"], "host1")
    scheduler.state.mark_stale()
    scheduler.state._activity_at = -1e9
    scheduler.state._fresh.clear()  # of these servers nothing else is written
    scheduler.state.build_ended("host0", worked=False)
    await scheduler.open()
    return scheduler


async def test_every_column_is_in_a_replay_what_it_is_in_the_scheduler(cloud: Any, make: Any) -> None:
    scheduler = await everything(cloud, make)
    live = scheduler.state.table
    again = simulate.table_of(await written(scheduler, limit=0))
    assert again.names == live.names
    for name, fact in columns.FACTS.items():
        if fact.kind is Kind.CATEGORY:
            found, wanted = ([t.vocabulary(name)[code] for code in t.codes(name)] for t in (again, live))
        else:
            found, wanted = (list(t.column(name)) for t in (again, live))
        if name == "pci":
            found, wanted = ([set(each or ()) for each in some] for some in (found, wanted))
        assert found == wanted, name
        assert name in _THE_SAME or len({str(each) for each in wanted}) > 1, f"{name} tells nothing here"
    for name in ("metric_cpu_percent", "metric_power_usage_watts", "free_resource_pcpu", "used_resource_pcpu"):
        assert np.array_equal(again.column(name), live.column(name), equal_nan=True), name
    assert [again.traits(row) for row in range(5)] == [live.traits(row) for row in range(5)]
    assert [(one.name, one.metadata) for one in again.aggregates] == [
        (one.name, one.metadata) for one in live.aggregates
    ]
    assert again.in_aggregate(1).tolist() == live.in_aggregate(live.aggregates[0].id).tolist()


_THE_SAME = {
    f"{part}_{name}" for part in ("reserved", "total", "max_unit", "capacity") for name in ("vcpus", "disk_gb")
}


async def test_what_hosts_measured_decides_in_a_replay_though_the_recording_scheduler_read_none_of_it(
    cloud: Any, make: Any
) -> None:
    await cloud.add_hosts(3)
    async with cloud.store.write() as session:
        await host_metrics.put(session, {f"host{number}": {"cpu_percent": 50.0 * number} for number in range(3)})
    scheduler = cloud.scheduler(weighers=["ram"])
    await scheduler.select([make() for _ in range(3)])
    weights = {"metrics": {"weights": {"cpu.percent": -1.0}}}
    result = await replayed(await written(scheduler), weighers=["metrics"], weigher_options=weights)
    assert {answer.host for answer in result.answers} == {"host0"}


async def test_a_driver_decides_in_a_replay_and_its_refusals_are_its_own(cloud: Any, make: Any) -> None:
    class OnlyThird:
        def rank(self, hosts: Any, ask: Any) -> Any:
            return np.array([1.0 if name == "host2" else np.nan for name in hosts.names])

    await cloud.add_hosts(3)
    scheduler = cloud.scheduler()
    await scheduler.select([make() for _ in range(5)])
    trace = await written(scheduler)
    spec = SchedulerSpec(name="third", api=1, build=lambda _: OnlyThird(), within=PATIENT)
    result = await replayed(trace, Offered(spec, "novakit-acme"))
    assert [answer.host for answer in result.answers] == ["host2"] * 4 + [None]
    before = await replayed(trace)
    told = simulate.differences(before, result, 2)
    assert told["count"] == sum(one.host != two.host for one, two in zip(before.answers, result.answers, strict=True))
    assert all(one["before"]["host"] != one["after"].get("host") for one in told["first"]) and len(told["first"]) == 2


async def test_cells_and_devices_are_given_in_a_replay_as_they_were(cloud: Any, make: Any) -> None:
    cells = [NumaCell(id=number, dedicated=range(number * 4, number * 4 + 4), memory_mb=8192) for number in range(2)]
    nics = [PciDevice(address=f"0000:{bus:02x}:00.0", kind="nic", numa_cell=bus % 2) for bus in range(4)]
    await cloud.add_hosts(1, memory_mb=65536, numa=cells, pci=nics)
    scheduler = cloud.scheduler()
    specs = {"hw:cpu_policy": "dedicated", "pci_passthrough:alias": "nic:1", "hw:pci_numa_affinity_policy": "required"}
    for _ in range(5):
        await scheduler.select([make(vcpus=2, memory_mb=512, extra_specs=specs)])
    trace = await written(scheduler)
    result = await replayed(trace)
    assert (result.placed, result.failed, dict(result.reasons)) == (4, 1, {"resources: not_enough_pcpu": 1})
    assert result.largest_fit == 0
    first = lines.TraceEvent(at=9, release=trace.events[0].ask.server_id)
    again = await replayed(attrs.evolve(trace, events=[*trace.events[:-1], first, trace.events[-1]]))
    assert (again.placed, again.failed) == (5, 0)


async def test_failures_are_counted_by_filter_and_reason_and_released_servers_make_room() -> None:
    events = [asked("1"), asked("2", 1), {"at": 2, "release": "1"}, asked("3", 3)]
    result = await replayed(made([holder("a")], *events))
    assert (result.placed, result.failed, dict(result.reasons)) == (2, 1, {"ram: not_enough_memory_mb": 1})
    assert result.plain()["memory_share_of_hosts_in_use"] == 1.0


async def test_a_server_is_being_built_until_the_trace_says_it_is_built() -> None:
    """The filter io_ops lets one build a host at a time."""
    events = [asked("1", 0), asked("2", 1), {"at": 2, "built": "1"}, asked("3", 3), {"at": 4, "built": "3"}]
    trace = made([holder("a", 8192)], *events)
    options: dict[str, Any] = {"filters": ["io_ops"], "filter_options": {"io_ops": {"max_io_ops_per_host": 1}}}
    result = await replayed(trace, **options)
    assert [answer.host for answer in result.answers] == ["a", None, "a"]
    assert dict(result.reasons) == {"io_ops: too_many_io_ops": 1}


async def test_another_size_of_a_server_that_stands_takes_the_place_of_the_first() -> None:
    events = [asked("1"), asked("2", 1, 2048), asked("1", 2, 3072), asked("2", 3, 512), asked("3", 4, 2560)]
    result = await replayed(made([holder("a", 4096)], *events))
    assert [answer.host for answer in result.answers] == ["a", "a", None, "a", "a"]
    assert result.plain()["fullness_max"] == 1.0


async def test_what_is_measured_is_what_is_there_at_the_end() -> None:
    """Four hosts of 4 GiB, one half full, one full; two more fit of the largest flavor, of 2 GiB with a disk."""
    hosts = [holder(name, 4096) for name in "abcd"]
    hosts[3] |= {"enabled": False}
    big = {"resources": {"MEMORY_MB": 2048}, "flavor_name": "big"}
    events = [asked("1", 0, host="a", **big), asked("2", 1, host="a", **big), asked("3", 2, host="b", **big)]
    events += [asked("4", 3, host="b", flavor_name="small"), {"at": 4, "release": "4"}]
    told = (await replayed(made(hosts, *events))).plain()
    assert (told["placed"], told["failed"], told["hosts_in_use"], told["peak_hosts_in_use"]) == (4, 0, 2, 2)
    assert (told["fullness_mean"], told["fullness_max"], told["memory_share_of_hosts_in_use"]) == (0.75, 1.0, 0.75)
    assert (told["largest_flavor"], told["largest_flavor_still_fits"]) == ("big", 3)
    assert "as_recorded" not in told


def test_the_command_compares_and_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entries = [*(holder(name, 2048) for name in ("a", "b")), *(asked(str(n), n) for n in range(2))]
    trace = tmp_path / "trace"
    trace.write_bytes(b"\n".join(orjson.dumps(entry) for entry in entries))
    assert main(["simulate", str(trace), "--weighers", "ram=-1", "--format", "json"]) == 0
    told = orjson.loads(capsys.readouterr().out)
    assert (told["defaults"]["peak_hosts_in_use"], told["given"]["peak_hosts_in_use"]) == (2, 1)
    (one,) = told["differently"]["first"]
    assert (one["server"], one["before"]["host"] != one["after"]["host"]) == ("1", True)
    assert main(["simulate", str(trace), "--weighers", "ram", "--strategy", "stack"]) == 0
    printed = capsys.readouterr().out
    assert "peak hosts in use" in printed and "1 request went differently:" in printed
    assert main(["simulate", str(trace), "--filters", "ram"]) == 0
    assert "Every request went the same way." in capsys.readouterr().out
    config = tmp_path / "novakit.toml"
    config.write_text("[filter_scheduler]\nram_weight_multiplier = -1.0")
    assert main(["simulate", str(trace), "--config", str(config), "--format", "json"]) == 0
    assert orjson.loads(capsys.readouterr().out)["given"]["peak_hosts_in_use"] == 1
    config.write_text("[weighers.ram]\nshare = 2")
    assert main(["simulate", str(trace), "--config", str(config)]) == 2
    assert "'share'" in capsys.readouterr().err
    assert main(["simulate", str(tmp_path / "none")]) == 2


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--config", "novakit.toml", "--strategy", "stack"], "--config and --strategy both say what decides"),
        (["--config", "nowhere.toml"], "does not exist"),
        (["--record", "--driver", "allocator"], "--driver is for the replay"),
        (["--driver", "alocator"], "alocator"),
    ],
)
def test_options_that_would_not_count_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], why: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("novakit.toml").write_text("")
    Path("trace").write_bytes(orjson.dumps(holder("a")))
    assert main(["simulate", "trace", *words]) == 2
    assert why in capsys.readouterr().err


def test_an_installed_driver_decides_by_name_or_by_the_configuration(tmp_path: Path) -> None:
    trace, worth, config = tmp_path / "trace", tmp_path / "worth.json", tmp_path / "novakit.toml"
    trace.write_bytes(b"\n".join(orjson.dumps(each) for each in [*(holder(n, 4096) for n in "abc"), asked("1")]))
    worth.write_text('{"b": 2, "c": 1}')
    config.write_text(f'[scheduler]\ndriver = "allocator"\n[schedulers.allocator]\nfile = "{worth}"\n')

    def simulated(*words: str, code: int = 0) -> Any:
        command = [sys.executable, "-m", "novakit", "simulate", str(trace), *words, "--format", "json"]
        environment = {**os.environ, "PYTHONPATH": str(PLUGIN)}
        done = subprocess.run(command, capture_output=True, env=environment, check=False)
        assert done.returncode == code, done.stderr
        return orjson.loads(done.stdout)

    assert simulated("--config", str(config))["given"]["placed"] == 1
    worth.write_text("{}")
    told = simulated("--config", str(config), code=1)
    assert told["given"]["reasons"] == {"allocator: not_allocated": 1}
    assert told["differently"]["first"][0]["after"] == {"refused": "allocator: not_allocated"}
    assert simulated("--driver", "allocator")["given"]["placed"] == 1


_THE_SAME |= {"reserved_memory_mb", "supported_instances", "hypervisor_type"}
"""Columns in which hosts of these tests do not differ."""
