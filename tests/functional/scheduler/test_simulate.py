"""Replaying what a scheduler decided under other rules."""

from pathlib import Path
from typing import Any

import attrs
import orjson
import pytest

from novakit.cli import main
from novakit.errors import ConfigError
from novakit.scheduler import simulate
from novakit.scheduler.compose import Offered, SchedulerOptions
from novakit_filters import novakit_filters
from novakit_hookspecs.hosts import PciDevice
from novakit_hookspecs.numa import NumaCell
from novakit_weighers import novakit_weighers

FILTERS = [Offered(spec) for spec in novakit_filters()]
WEIGHERS = [Offered(spec, "novakit-weighers") for spec in novakit_weighers()]


async def recorded(cloud: Any, make: Any) -> simulate.Trace:
    await cloud.add_hosts(4)
    scheduler = cloud.scheduler()
    for number in range(6):
        await scheduler.select(
            [make(memory_mb=1024 if number % 2 else 2048, extra_specs={"trait:CUSTOM_EVEN": "required"})]
        )
    lines = [orjson.dumps(entry) for entry in await scheduler.trace(1000)]
    return simulate.read(lines)


async def test_a_recorded_trace_replays_and_other_weighers_pack_otherwise(cloud: Any, make: Any) -> None:
    trace = await recorded(cloud, make)
    assert (len(trace.hosts), len(trace.events)) == (4, 6)
    spread = await simulate.replay(trace, FILTERS, WEIGHERS, SchedulerOptions(weighers=["ram"]))
    stack = await simulate.replay(
        trace, FILTERS, WEIGHERS, SchedulerOptions(weighers=["ram"], placement_strategy="stack")
    )
    assert (spread.placed, stack.placed) == (5, 5)
    assert spread.peak_hosts == 2


async def test_cells_and_devices_are_given_in_a_replay_as_they_were(cloud: Any, make: Any) -> None:
    cells = [NumaCell(id=number, dedicated=range(number * 4, number * 4 + 4), memory_mb=8192) for number in range(2)]
    nics = [PciDevice(address=f"0000:{bus:02x}:00.0", kind="nic", numa_cell=bus % 2) for bus in range(4)]
    await cloud.add_hosts(1, memory_mb=65536, numa=cells, pci=nics)
    scheduler = cloud.scheduler()
    specs = {"hw:cpu_policy": "dedicated", "pci_passthrough:alias": "nic:1", "hw:pci_numa_affinity_policy": "required"}
    for _ in range(5):
        await scheduler.select([make(vcpus=2, memory_mb=512, extra_specs=specs)])
    trace = simulate.read([orjson.dumps(entry) for entry in await scheduler.trace(1000)])
    result = await simulate.replay(trace, FILTERS, WEIGHERS, SchedulerOptions())
    assert (result.placed, result.failed, dict(result.reasons)) == (4, 1, {"not_enough_pcpu": 1})
    assert result.largest_fit == 0
    first = trace.events[0]["ask"]["server_id"]
    freed = [*trace.events[:-1], {"at": 9, "release": first}, trace.events[-1]]
    again = await simulate.replay(attrs.evolve(trace, events=freed), FILTERS, WEIGHERS, SchedulerOptions())
    assert (again.placed, again.failed) == (5, 0)


async def test_failures_are_counted_by_reason_and_released_servers_make_room() -> None:
    stock = {"MEMORY_MB": {"total": 1024, "capacity": 1024, "max_unit": 1024}}
    one = {"project_id": "p", "user_id": "u", "resources": {"MEMORY_MB": 1024}}
    lines = [
        orjson.dumps({"host": "a", "stock": stock}),
        orjson.dumps({"at": 0, "ask": {"server_id": "1", **one}}),
        orjson.dumps({"at": 1, "ask": {"server_id": "2", **one}}),
        orjson.dumps({"at": 2, "release": "1"}),
        orjson.dumps({"at": 3, "ask": {"server_id": "3", **one}}),
    ]
    result = await simulate.replay(simulate.read(lines), FILTERS, WEIGHERS, SchedulerOptions())
    assert (result.placed, result.failed, dict(result.reasons)) == (2, 1, {"not_enough_memory_mb": 1})
    assert result.plain()["memory_share_of_hosts_in_use"] == 1.0


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"{", "line 1 of the trace is not JSON"),
        (b"[]", "line 1 of the trace is no JSON object"),
        (b'{"what": 1}', "line 1 of the trace has neither"),
    ],
)
def test_a_wrong_line_is_named(line: bytes, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        simulate.read([line])


async def test_a_wrong_host_or_ask_is_named() -> None:
    for line, why in ((b'{"host": "a", "stock": {"VCPU": 7}}', "host a"), (b'{"ask": {"colour": 1}}', "event 1")):
        with pytest.raises(ConfigError, match=why):
            await simulate.replay(simulate.read([line]), FILTERS, WEIGHERS, SchedulerOptions())


def test_the_command_compares_and_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stock = {"MEMORY_MB": {"total": 2048, "capacity": 2048, "max_unit": 2048}}
    lines = [{"host": name, "stock": stock} for name in ("a", "b")]
    one = {"project_id": "p", "user_id": "u", "resources": {"MEMORY_MB": 1024}}
    events = [{"at": n, "ask": {"server_id": str(n), **one}} for n in range(2)]
    trace = tmp_path / "trace"
    trace.write_bytes(b"\n".join(orjson.dumps(entry) for entry in [*lines, *events]))
    assert main(["simulate", str(trace), "--weighers", "ram=-1", "--format", "json"]) == 0
    told = orjson.loads(capsys.readouterr().out)
    assert (told["defaults"]["peak_hosts_in_use"], told["given"]["peak_hosts_in_use"]) == (2, 1)
    assert main(["simulate", str(trace), "--weighers", "ram", "--strategy", "stack"]) == 0
    assert "peak hosts in use" in capsys.readouterr().out
    config = tmp_path / "novakit.toml"
    config.write_text("[filter_scheduler]\nram_weight_multiplier = -1.0")
    assert main(["simulate", str(trace), "--config", str(config), "--format", "json"]) == 0
    assert orjson.loads(capsys.readouterr().out)["given"]["peak_hosts_in_use"] == 1
    config.write_text("[weighers.ram]\nshare = 2")
    assert main(["simulate", str(trace), "--config", str(config)]) == 2
    assert "'share'" in capsys.readouterr().err
    assert main(["simulate", str(tmp_path / "none")]) == 2
