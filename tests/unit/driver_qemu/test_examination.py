"""How guests would be run, as `novakit doctor` tells it."""

from pathlib import Path

from novakit_driver_qemu.examination import examine
from novakit_driver_qemu.host_facts import version_of
from novakit_driver_qemu.options import QemuOptions


async def test_an_examination_says_how_guests_would_run(tmp_path: Path) -> None:
    findings = await examine(QemuOptions(acceleration="tcg"), tmp_path, Path("/"))
    looked_at = {"programs for guests", "acceleration", "confinement of image tools", "known holes of QEMU"}
    assert {each.check for each in findings} <= looked_at
    assert all(each.remedy for each in findings if each.verdict.value != "ok")


def test_the_version_is_read_as_libvirt_counts() -> None:
    assert version_of("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)") == 7_002_022
    assert version_of("what?") == 0
