"""How guests would be run, as `novakit doctor` tells it."""

import os
from pathlib import Path

import pytest

from novakit_driver_qemu import examination
from novakit_driver_qemu.examination import decided, examine, users
from novakit_driver_qemu.host_facts import version_of
from novakit_driver_qemu.launch import give_devices, kvm_groups
from novakit_driver_qemu.options import QemuOptions
from novakit_hookspecs.errors import Refused
from novakit_hookspecs.findings import Verdict
from novakit_host import guest_users
from novakit_host.acceleration import Acceleration

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


async def test_an_examination_says_how_guests_would_run(tmp_path: Path) -> None:
    findings = await examine(QemuOptions(acceleration="tcg"), tmp_path, Path("/"))
    looked_at = {"programs for guests", "acceleration", "users of guests", "confinement of image tools"}
    assert {each.check for each in findings} <= looked_at | {"known holes of QEMU"}
    assert all(each.remedy for each in findings if each.verdict.value != "ok")


def test_the_version_is_read_as_libvirt_counts() -> None:
    assert version_of("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)") == 7_002_022
    assert version_of("what?") == 0


@as_root
@pytest.mark.parametrize(
    ("mode", "group", "groups"),
    [(0o666, 0, ()), (0o660, 4321, (4321,)), (0o660, 0, None), (0o600, 4321, None), (0o640, 4321, None)],
)
def test_a_guests_own_user_gets_to_kvm_by_the_devices_group(
    tmp_path: Path, mode: int, group: int, groups: tuple[int, ...] | None
) -> None:
    device = tmp_path / "kvm"
    device.touch()
    device.chmod(mode)
    os.chown(device, 0, group)
    assert kvm_groups(device) == groups


def test_without_a_device_of_kvm_no_group_leads_to_it(tmp_path: Path) -> None:
    assert kvm_groups(tmp_path / "kvm") is None


@as_root
async def test_kvm_that_only_root_may_use_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def works(*_: object) -> Acceleration:
        return Acceleration(acceleration="kvm", why="it works")

    monkeypatch.setattr(examination, "decide", works)
    device = tmp_path / "kvm"
    device.touch(0o600)
    assert (await decided("auto", tmp_path, device)).acceleration == "tcg"
    with pytest.raises(Refused, match="chmod 660"):
        await decided("kvm", tmp_path, device)
    device.chmod(0o666)
    assert (await decided("kvm", tmp_path, device)).acceleration == "kvm"


@as_root
def test_whom_guests_run_as_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest_users, "unmapped", lambda first: False)
    assert users(1_900_000_000).found == "each guest has one of its own, from 1900000000 to 1900065535"
    monkeypatch.setattr(guest_users, "unmapped", lambda first: True)
    assert users(1_900_000_000).verdict is Verdict.MISSING
    monkeypatch.setattr(guest_users, "may_be_given", lambda: False)
    assert users(1_900_000_000).verdict is Verdict.WARN


@as_root
def test_a_device_is_given_to_the_guests_user_and_taken_back(tmp_path: Path) -> None:
    group, device = tmp_path / "dev/vfio/17", tmp_path / "sys/bus/pci/devices/0000:3b:00.0"
    for directory in (group.parent, device):
        directory.mkdir(parents=True)
    group.touch()
    (device / "iommu_group").symlink_to("../../../kernel/iommu_groups/17")
    give_devices(["0000:3b:00.0", "0000:ff:00.0"], 1_900_000_007, tmp_path)
    assert group.stat().st_uid == 1_900_000_007
    give_devices(["0000:3b:00.0"], 0, tmp_path)
    assert group.stat().st_uid == 0
    treasure = tmp_path / "treasure"
    group.rename(treasure)
    group.symlink_to(treasure)
    give_devices(["0000:3b:00.0"], 1_900_000_007, tmp_path)
    assert treasure.stat().st_uid == 0, "a link is not followed"


@pytest.mark.parametrize("first", [0, -5, (1 << 31) - 65536])
def test_users_that_no_guest_can_have_are_refused(first: int) -> None:
    with pytest.raises(ValueError, match="first_user"):
        QemuOptions(first_user=first)
