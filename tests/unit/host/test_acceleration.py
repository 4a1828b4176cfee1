"""KVM is believed only when a guest ran on it."""

import stat
from pathlib import Path

import pytest

from novakit_hookspecs.errors import Refused
from novakit_host import acceleration
from novakit_host.acceleration import Acceleration, decide
from novakit_host.commands import run


async def test_tcg_by_option_asks_nobody(tmp_path: Path) -> None:
    verdict = await decide("tcg", tmp_path, tmp_path / "none")
    assert verdict.acceleration == "tcg"
    assert not list(tmp_path.iterdir())


async def test_without_a_device_it_is_tcg_and_says_so(tmp_path: Path) -> None:
    verdict = await decide("auto", tmp_path, tmp_path / "kvm")
    assert verdict == Acceleration("tcg", f"software emulation (TCG): there is no {tmp_path / 'kvm'}")


async def test_kvm_on_demand_is_refused_where_it_does_not_work(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="acceleration = 'auto'"):
        await decide("kvm", tmp_path, tmp_path / "kvm")


def _qemu(directory: Path, script: str) -> None:
    """Put a program named as QEMU first on the path that commands are searched in."""
    path = directory / acceleration.QEMU
    path.write_text(f"#!/bin/sh\necho >> {directory}/runs\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def probe_with(tmp_path: Path) -> acceleration.Probe:
    return acceleration.Probe(qemu=str(tmp_path / acceleration.QEMU), deadline=0.3)


@pytest.mark.parametrize(
    ("script", "kind", "why"),
    [
        ("exit 33", "kvm", "a probe guest ran"),
        ("exec sleep 60", "tcg", "made no progress within 0.3 s"),
        ("echo 'failed to set MSR 0x10a' >&2; exit 134", "tcg", "status 134: failed to set MSR 0x10a"),
        ("exit 0", "tcg", "status 0"),
    ],
)
async def test_the_verdict_follows_what_a_guest_did(
    tmp_path: Path, probe_with: acceleration.Probe, script: str, kind: str, why: str
) -> None:
    _qemu(tmp_path, script)
    (tmp_path / "kvm").touch()
    for _ in range(2):
        verdict = await decide("auto", tmp_path, tmp_path / "kvm", probe_with)
        assert verdict.acceleration == kind
        assert why in verdict.why
    assert len((tmp_path / "runs").read_text().splitlines()) == 1, "the outcome is remembered"


async def test_another_qemu_is_probed_anew_and_a_torn_memory_too(
    tmp_path: Path, probe_with: acceleration.Probe
) -> None:
    (tmp_path / "kvm").touch()
    _qemu(tmp_path, "exit 1")
    assert (await decide("auto", tmp_path, tmp_path / "kvm", probe_with)).acceleration == "tcg"
    _qemu(tmp_path, "exit 33")
    assert (await decide("auto", tmp_path, tmp_path / "kvm", probe_with)).acceleration == "kvm"
    (tmp_path / "acceleration.json").write_text('{"key": [')
    assert (await decide("auto", tmp_path, tmp_path / "kvm", probe_with)).acceleration == "kvm"


async def test_a_command_that_takes_too_long_is_killed() -> None:
    ended = await run(["sleep", "60"], within=0.05)
    assert ended.status is None
