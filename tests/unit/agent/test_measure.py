"""What an agent measures of its machine, from recorded trees of /proc and /sys and from the real /proc."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import attrs
import pytest

from novakit import world
from novakit.agent.measure import Cpu, Measuring, PowerMeter, Uptime
from novakit.config import MONITORS, AgentOptions, options
from novakit.errors import ConfigError
from novakit_hookspecs.columns import metric_name
from novakit_hookspecs.findings import Verdict

STAT = "cpu  {user} 100 {system} {idle} {iowait} 50 50 {steal} 7 7\ncpu0 1 2 3 4 5 6 7 8 9 10\nintr 1\n"
RAPL = {
    "class/powercap/intel-rapl/enabled": "1",
    "class/powercap/intel-rapl:0/name": "package-0",
    "class/powercap/intel-rapl:0/energy_uj": "1000000",
    "class/powercap/intel-rapl:0/max_energy_range_uj": "262143328850",
    "class/powercap/intel-rapl:0:0/name": "core",
    "class/powercap/intel-rapl:0:0/energy_uj": "900000",
    "class/powercap/intel-rapl:0:0/max_energy_range_uj": "262143328850",
    "class/powercap/intel-rapl:0:1/name": "dram",
    "class/powercap/intel-rapl:0:1/energy_uj": "65712999000",
    "class/powercap/intel-rapl:0:1/max_energy_range_uj": "65712999613",
    "class/powercap/intel-rapl:1/name": "psys",
    "class/powercap/intel-rapl:1/energy_uj": "5000000",
    "class/powercap/intel-rapl:1/max_energy_range_uj": "262143328850",
    "class/powercap/intel-rapl-mmio:0/name": "package-0",
    "class/powercap/intel-rapl-mmio:0/energy_uj": "1000000",
    "class/powercap/intel-rapl-mmio:0/max_energy_range_uj": "262143328850",
}


def grow(root: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")
    return root


def test_cpu_percent_is_of_the_time_between_two_readings(tmp_path: Path) -> None:
    grow(tmp_path, {"cpuinfo": "processor : 0\ncpu MHz\t\t: 2000.000\nprocessor : 1\ncpu MHz\t\t: 3000.000"})
    cpu = Cpu(tmp_path, tmp_path)
    (tmp_path / "stat").write_text(STAT.format(user=900, system=400, idle=5000, iowait=500, steal=0))
    first = cpu.read(0.0)
    assert first == {
        "cpu.user.time": 1000 * 1e7,
        "cpu.kernel.time": 500 * 1e7,
        "cpu.idle.time": 5000 * 1e7,
        "cpu.iowait.time": 500 * 1e7,
        "cpu.frequency": 2500.0,
    }
    (tmp_path / "stat").write_text(STAT.format(user=1000, system=430, idle=5030, iowait=520, steal=20))
    second = cpu.read(10.0)
    percent = {name: value for name, value in second.items() if name.endswith("percent")}
    assert percent == {
        "cpu.user.percent": 50.0,
        "cpu.kernel.percent": 15.0,
        "cpu.idle.percent": 15.0,
        "cpu.iowait.percent": 10.0,
        "cpu.percent": 75.0,
    }
    assert "cpu.percent" not in cpu.read(20.0)


def test_a_counter_that_goes_back_gives_no_strange_percent(tmp_path: Path) -> None:
    grow(tmp_path, {"cpuinfo": ""})
    cpu = Cpu(tmp_path, tmp_path)
    (tmp_path / "stat").write_text(STAT.format(user=900, system=400, idle=5000, iowait=500, steal=0))
    cpu.read(0.0)
    (tmp_path / "stat").write_text(STAT.format(user=1000, system=400, idle=5000, iowait=490, steal=0))
    percent = {name: value for name, value in cpu.read(1.0).items() if name.endswith("percent")}
    assert percent["cpu.iowait.percent"] == 0.0 and percent["cpu.percent"] == 100.0
    assert all(0.0 <= value <= 100.0 for value in percent.values())


def test_the_frequency_the_kernel_scales_to_wins(tmp_path: Path) -> None:
    grow(tmp_path, {"cpuinfo": "cpu MHz : 1.0", "stat": STAT.format(user=1, system=1, idle=1, iowait=1, steal=1)})
    grow(tmp_path, {f"devices/system/cpu/cpu{n}/cpufreq/scaling_cur_freq": str(n * 1_000_000) for n in (1, 2)})
    assert Cpu(tmp_path, tmp_path).read(0.0)["cpu.frequency"] == 1500.0


def test_uptime_is_told_in_hours(tmp_path: Path) -> None:
    assert Uptime(grow(tmp_path, {"uptime": "9000.25 100.00"})).read(0.0) == {"uptime_hours": 9000.25 / 3600}


def test_rapl_adds_packages_and_memory_once_and_counts_round(tmp_path: Path) -> None:
    power = PowerMeter(grow(tmp_path, RAPL))
    assert power.read(100.0) == {}
    grow(
        tmp_path,
        {
            "class/powercap/intel-rapl:0/energy_uj": "601000000",
            "class/powercap/intel-rapl:0:1/energy_uj": "49999387",
            "class/powercap/intel-rapl:1/energy_uj": "9000000000",
        },
    )
    assert power.read(110.0) == {"power_usage_watts": pytest.approx((600.0 + 50.0) / 10)}
    found, remedy = power.examine()
    assert "RAPL" in found and "package-0" in found and "dram" in found and not remedy


def test_power_is_absent_and_never_zero(tmp_path: Path) -> None:
    power = PowerMeter(tmp_path)
    assert power.read(0.0) == power.read(60.0) == {}
    found, remedy = power.examine()
    assert "neither RAPL nor" in found and "compute_monitors" in remedy
    grow(tmp_path, RAPL)
    assert power.read(120.0) == power.read(180.0) == {}


def test_counters_that_may_not_be_read_say_so(tmp_path: Path) -> None:
    files = {name: text for name, text in RAPL.items() if not name.endswith("/energy_uj")}
    power = PowerMeter(grow(tmp_path, files))
    for zone in ("intel-rapl:0", "intel-rapl:0:1"):
        (tmp_path / "class/powercap" / zone / "energy_uj").mkdir()  # fails to be read for root, too
    assert power.read(0.0) == power.read(10.0) == {}
    found, remedy = power.examine()
    assert "may not read" in found and "energy_uj" in remedy


def test_without_rapl_sensors_tell_and_a_meter_of_the_whole_machine_wins(tmp_path: Path) -> None:
    grow(tmp_path, {"class/hwmon/hwmon0/name": "amdgpu", "class/hwmon/hwmon0/power1_average": "30000000"})
    grow(tmp_path, {"class/hwmon/hwmon0/power2_input": "0", "class/hwmon/hwmon0/power1_input": "31000000"})
    assert PowerMeter(tmp_path).read(0.0) == {"power_usage_watts": 30.0}
    grow(tmp_path, {"class/hwmon/hwmon1/name": "power_meter", "class/hwmon/hwmon1/power1_average": "250000000"})
    assert PowerMeter(tmp_path).read(0.0) == {"power_usage_watts": 250.0}


@attrs.define
class Clock(world.SystemWorld):
    seconds: float = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)


async def test_the_real_machine_is_measured_under_names_that_are_columns() -> None:
    measuring, clock = Measuring.of(MONITORS), Clock()
    with world.using(clock):
        first = await measuring.read()
        clock.seconds = 10.0
        async with asyncio.timeout(30):
            while "cpu.percent" not in (second := await measuring.read()):
                clock.seconds += 10.0
    assert first["uptime_hours"] > 0 and first["cpu.idle.time"] > 0 and "cpu.percent" not in first
    shares = [second[f"cpu.{mode}.percent"] for mode in ("user", "kernel", "idle", "iowait")]
    assert all(0 <= share <= 100 for share in shares) and sum(shares) <= 100.001
    assert second["cpu.percent"] == pytest.approx(100 - shares[2] - shares[3])
    assert all(metric_name(name) for name in second)
    assert metric_name("cpu.user.percent") == "cpu_user_percent"
    checks = {finding.check: finding for finding in measuring.examine()}
    assert checks["monitor cpu.virt_driver"].verdict is checks["monitor uptime"].verdict is Verdict.OK


async def test_readings_close_together_are_one_and_a_broken_monitor_costs_only_itself(tmp_path: Path) -> None:
    grow(tmp_path, {"uptime": "3600 1"})
    measuring, clock = Measuring.of(MONITORS, proc=tmp_path, sys=tmp_path), Clock()
    with world.using(clock):
        assert await measuring.read() == {"uptime_hours": 1.0}
        grow(tmp_path, {"uptime": "7200 1"})
        assert await measuring.read() == {"uptime_hours": 1.0}
        clock.seconds = 1.0
        assert await measuring.read() == {"uptime_hours": 2.0}
    checks = {finding.check: finding for finding in measuring.examine()}
    assert checks["monitor cpu.virt_driver"].verdict is Verdict.WARN


def test_a_monitor_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(ConfigError, match=r"compute_monitors takes cpu.virt_driver, uptime, power; .*'cpu.magic'"):
        options.fill("[agent]", AgentOptions, {"compute_monitors": ["cpu.magic"]})
    assert options.fill("[agent]", AgentOptions, {"compute_monitors": []}).compute_monitors == ()
