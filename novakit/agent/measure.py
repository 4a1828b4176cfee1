"""What the agent measures of the machine it runs on, whatever the virt driver: CPU, uptime, electric power.

The idea: each monitor reads files below `/proc` and `/sys`, and can be made for other roots. Rates are differences to
the reading before, so the agents of one process share one `Measuring`: each would spoil the others' rates otherwise.
The invariant: a number that cannot be read is left out and is never 0 instead; nothing is read twice within `EVERY`,
however many agents ask at once; and a monitor that fails costs its own numbers alone.
The cost: 0.15 ms of a thread for all monitors on a machine with two CPUs, once a second at most; 1 µs for whoever asks
in between.
"""

import asyncio
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

import attrs
import structlog

from novakit import world
from novakit.errors import in_words
from novakit_hookspecs.findings import Finding, Verdict

log = structlog.get_logger(__name__)

EVERY = 1.0
"""Seconds within which nothing is read again: rates over less would be noise."""
_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


class Monitor(Protocol):
    """Reads some measurements of the machine."""

    def read(self, at: float) -> dict[str, float]:
        """Return what can be measured now by name; `at` is the second on a steady clock, and rates count from the last
        call.
        """

    def examine(self) -> tuple[str, str]:
        """Return what is measured here, in words, and what would let it measure more: empty where nothing would."""


@attrs.define
class Cpu:
    """Where the CPUs' time went: nanoseconds since the boot, and percent (0 to 100) since the last reading."""

    proc: Path
    sys: Path
    _before: dict[str, int] | None = None

    def read(self, at: float) -> dict[str, float]:
        now = self._ticks()
        found = {f"cpu.{mode}.time": float(now[mode] * _TICK_NS) for mode in ("user", "kernel", "idle", "iowait")}
        before, self._before = self._before, now
        if before is not None and (passed := now["all"] - before["all"]) > 0:
            share = {mode: _percent(now[mode] - before[mode], passed) for mode in now if mode != "all"}
            found |= {f"cpu.{mode}.percent": value for mode, value in share.items()}
            found["cpu.percent"] = max(0.0, 100.0 - share["idle"] - share["iowait"])
        if frequency := self._frequency():
            found["cpu.frequency"] = frequency
        return found

    def examine(self) -> tuple[str, str]:
        self._ticks()
        frequency = self._frequency()
        told = f", {frequency:.0f} MHz" if frequency else "; the machine reports no frequency"
        return f"CPU times and percent{told}", ""

    def _ticks(self) -> dict[str, int]:
        """Guests are in `user` already; what the hypervisor below stole is in none but counts as time passed."""
        fields = (self.proc / "stat").read_text().split("\n", 1)[0].split()
        user, nice, system, idle, iowait, irq, softirq, steal = map(int, fields[1:9])
        ticks = {"user": user + nice, "kernel": system + irq + softirq, "idle": idle, "iowait": iowait}
        return {**ticks, "all": sum(ticks.values()) + steal}

    def _frequency(self) -> float | None:
        """Return the mean of all CPUs in MHz."""
        files = sorted(self.sys.glob("devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq"))
        mhz = [kilohertz / 1000 for file in files if (kilohertz := _number(file)) is not None]
        if not mhz:
            lines = (self.proc / "cpuinfo").read_text().splitlines()
            mhz = [float(line.partition(":")[2]) for line in lines if line.startswith("cpu MHz")]
        return sum(mhz) / len(mhz) if mhz else None


@attrs.define
class Uptime:
    """Hours since the boot."""

    proc: Path

    def read(self, at: float) -> dict[str, float]:
        return {"uptime_hours": float((self.proc / "uptime").read_text().split()[0]) / 3600}

    def examine(self) -> tuple[str, str]:
        return f"{self.read(0)['uptime_hours']:.1f} hours since the machine was booted", ""


@attrs.define
class PowerMeter:
    """Watts drawn by the machine: by RAPL the CPU packages and their memory, else by the sensors of `hwmon`.

    RAPL counts energy, so its first watts come with the second reading.
    A counter that came round once between two readings is reckoned with; twice cannot be seen, so read at least
    every five minutes.
    """

    sys: Path
    _before: tuple[float, dict[str, tuple[int, int]]] | None = None

    def read(self, at: float) -> dict[str, float]:
        now = dict(self._counters())
        if not now:
            self._before = None
            watts = sum(self._sensors())
        else:
            watts = self._since(at, now)
            self._before = (at, now)
        return {"power_usage_watts": watts} if watts > 0 else {}

    def examine(self) -> tuple[str, str]:
        zones = list(self._zones())
        if counters := dict(self._counters()):
            return f"power by RAPL: {', '.join(counters)}", ""
        if sensors := self._sensors():
            return f"power by hwmon: {sum(sensors):.0f} W", ""
        if zones:
            return "power is not measured: the agent may not read the counters of RAPL", (
                f"run the agent as root, or let it read {zones[0][1]}/energy_uj"
            )
        return "power is not measured: there is neither RAPL nor a power sensor in hwmon", (
            "on a real machine load intel_rapl_common or acpi_power_meter; a guest has neither; "
            'without them leave "power" out of compute_monitors'
        )

    def _since(self, at: float, now: Mapping[str, tuple[int, int]]) -> float:
        """Return the mean watts since the last reading; 0 where it was of other counters."""
        then, before = self._before or (at, {})
        if at <= then or before.keys() != now.keys():
            return 0.0
        joules = 0.0
        for zone, (energy, most) in now.items():
            grown = energy - before[zone][0]
            joules += (grown if grown >= 0 else grown + most) / 1e6
        return joules / (at - then)

    def _zones(self) -> Iterator[tuple[str, Path]]:
        """Name the zones that together are the machine's, none inside another: packages and their memory."""
        for zone in sorted(self.sys.glob("class/powercap/intel-rapl:*")):
            name = (zone / "name").read_text().strip()
            if name.startswith("package") or name == "dram":
                yield f"{name} ({zone.name})", zone

    def _counters(self) -> Iterator[tuple[str, tuple[int, int]]]:
        """Yield microjoules so far, and those at which the counter starts over, by zone."""
        for name, zone in self._zones():
            energy, most = _number(zone / "energy_uj"), _number(zone / "max_energy_range_uj")
            if energy is not None and most is not None:
                yield name, (int(energy), int(most))

    def _sensors(self) -> list[float]:
        """Return the watts of each sensor; those of the whole machine alone where it has such."""
        found: dict[str, list[float]] = {"power_meter": [], "other": []}
        for chip in sorted(self.sys.glob("class/hwmon/hwmon*")):
            name = (chip / "name").read_text().strip() if (chip / "name").exists() else ""
            sensors: dict[str, float] = {}
            for kind in ("average", "input"):
                for file in sorted(chip.glob(f"power*_{kind}")):
                    if (microwatts := _number(file)) is not None and microwatts > 0:
                        sensors.setdefault(file.name.partition("_")[0], microwatts / 1e6)
            found["power_meter" if name == "power_meter" else "other"] += sensors.values()
        return found["power_meter"] or found["other"]


def _percent(part: int, whole: int) -> float:
    return min(100.0, max(0.0, 100.0 * part / whole))


def _number(file: Path) -> float | None:
    """Read a file with one number; None where there is none, or it may not be read, or the device does not answer."""
    try:
        return float(file.read_text())
    except (OSError, ValueError):
        return None


_MAKE: dict[str, Callable[[Path, Path], Monitor]] = {
    "cpu.virt_driver": Cpu,
    "uptime": lambda proc, _: Uptime(proc),
    "power": lambda _, sys: PowerMeter(sys),
}


@attrs.define
class Measuring:
    """The monitors of one machine, shared by all agents that run on it."""

    monitors: Mapping[str, Monitor]
    _at: float = float("-inf")
    _found: dict[str, float] = attrs.field(factory=dict)
    _silent: set[str] = attrs.field(factory=set)
    _turn: asyncio.Lock = attrs.field(factory=asyncio.Lock)

    @classmethod
    def of(cls, names: Iterable[str], *, proc: Path = Path("/proc"), sys: Path = Path("/sys")) -> "Measuring":
        """Take monitors by their names of `[agent] compute_monitors`."""
        return cls({name: _MAKE[name](proc, sys) for name in names})

    async def read(self) -> dict[str, float]:
        """Measure; a monitor that cannot costs only its own numbers."""
        async with self._turn:
            now = world.monotonic()
            if now - self._at >= EVERY:
                self._at, self._found = now, await asyncio.to_thread(self._read, now)
            return dict(self._found)

    def _read(self, now: float) -> dict[str, float]:
        found: dict[str, float] = {}
        for name, monitor in self.monitors.items():
            try:
                found |= monitor.read(now)
                self._silent.discard(name)
            except (OSError, ValueError, IndexError) as error:
                if name not in self._silent:
                    log.warning("a monitor cannot measure", monitor=name, why=in_words(error))
                self._silent.add(name)
        return found

    def examine(self) -> list[Finding]:
        """Return what each monitor measures here."""
        return [_finding(name, monitor) for name, monitor in self.monitors.items()]


def _finding(name: str, monitor: Monitor) -> Finding:
    try:
        found, remedy = monitor.examine()
    except (OSError, ValueError, IndexError) as error:
        found, remedy = f"nothing can be measured: {in_words(error)}", f'leave "{name}" out of compute_monitors'
    verdict = Verdict.WARN if remedy else Verdict.OK
    return Finding(check=f"monitor {name}", verdict=verdict, found=found, remedy=remedy)
