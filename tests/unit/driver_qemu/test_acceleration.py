"""How guests are run is decided by what a probe guest did."""

from pathlib import Path

import pytest

from novakit_driver_qemu.acceleration import decide
from novakit_driver_qemu.examination import examine
from novakit_driver_qemu.host_facts import version_of
from novakit_driver_qemu.options import QemuOptions
from novakit_hookspecs.errors import Refused


def qemu(directory: Path, does: str) -> str:
    program = directory / "qemu"
    program.write_text(f"#!/bin/sh\n{does}\n")
    program.chmod(0o755)
    return str(program)


async def test_tcg_by_option_asks_nobody(tmp_path: Path) -> None:
    assert (await decide("tcg", tmp_path / "kvm", "/nowhere")).acceleration == "tcg"


async def test_without_a_device_it_is_tcg_and_says_so(tmp_path: Path) -> None:
    verdict = await decide("auto", tmp_path / "kvm")
    assert verdict.acceleration == "tcg"
    assert "is not there" in verdict.why


@pytest.mark.parametrize(
    ("does", "acceleration", "why"),
    [
        ("exit 33", "kvm", "a probe guest ran"),
        ("exit 0", "tcg", "status 0"),
        ("echo no MSR >&2; exit 134", "tcg", "status 134: no MSR"),
    ],
)
async def test_the_verdict_follows_what_the_probe_guest_did(
    tmp_path: Path, does: str, acceleration: str, why: str
) -> None:
    verdict = await decide("auto", tmp_path, qemu(tmp_path, does))
    assert verdict.acceleration == acceleration
    assert why in verdict.why


async def test_kvm_on_demand_is_refused_where_it_does_not_work(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="acceleration = 'auto'"):
        await decide("kvm", tmp_path, qemu(tmp_path, "exit 1"))


async def test_an_examination_says_how_guests_would_run() -> None:
    findings = await examine(QemuOptions(acceleration="tcg"), Path("/"))
    assert {each.check for each in findings} <= {"programs for guests", "acceleration"}
    assert all(each.remedy for each in findings if each.verdict.value != "ok")


def test_the_version_is_read_as_libvirt_counts() -> None:
    assert version_of("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)") == 7_002_022
    assert version_of("what?") == 0
