"""A guest that has taken over the QEMU that libvirt started is nobody: real guests, libvirt as Debian has it."""

import grp
import os
import pwd
import re
import shutil
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import attrs
import pytest

from novakit_driver_libvirt import LibvirtDriver, LibvirtOptions, guest_users
from novakit_hookspecs.errors import Busy, Refused
from novakit_hookspecs.hosts import HostContext
from novakit_hookspecs.servers import GuestPlan, Nic, Power
from novakit_host.guest_users import FIRST
from tests.support.confinement import emulator_in, require_nobody, waiting_guest

sys.path.insert(0, str(Path(__file__).parents[1]))
from hostlab import Lab, missing

pytestmark = [
    pytest.mark.host,
    pytest.mark.slow,
    pytest.mark.skipif(missing(libvirt=True) is not None, reason=str(missing(libvirt=True))),
]

LIBVIRTS = ("/var/lib/libvirt", "/run/libvirt", "/dev/hugepages", "/var/cache/libvirt", "/var/log/libvirt")

SHARED = "/run/libvirt/qemu/dbus"
"""libvirt lets its whole group write here, for what passes state over D-Bus, which no guest of ours does."""


HOME = "lib-libvirt/qemu"


def _as_debian_has_it(lab: Lab) -> None:
    """Make libvirt's directories as Debian's package makes them: closed to all but libvirt's user and group."""
    owner = pwd.getpwnam("libvirt-qemu").pw_uid, grp.getgrnam("libvirt-qemu").gr_gid
    for name in ("", "channel", "channel/target"):
        (lab.directory / HOME / name).mkdir()
        os.chown(lab.directory / HOME / name, *owner)
        (lab.directory / HOME / name).chmod(0o750)


def _open_as_the_setup_does(lab: Lab) -> None:
    """Run what `scripts/setup.sh host` runs, twice, inside the host and with a list of overrides of its own."""
    script = (Path(__file__).parents[3] / "scripts/setup.sh").read_text()
    [function] = re.findall(r"^open_libvirt\(\) \{.*?^\}", script, re.DOTALL | re.MULTILINE)
    dpkg = lab.directory / "dpkg"
    dpkg.mkdir()
    (dpkg / "statoverride").touch()
    words = ["env", f"DPKG_ADMINDIR={dpkg}", "bash", "-euc", f"say() {{ :; }}\n{function}\nopen_libvirt\nopen_libvirt"]
    lab.run(words)
    kept = (dpkg / "statoverride").read_text().splitlines()
    home = "/var/lib/libvirt/qemu"
    wanted = [f"libvirt-qemu libvirt-qemu 751 {home}{each}" for each in ("", "/channel", "/channel/target")]
    assert sorted(kept) == sorted(wanted)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab(libvirt=True, openvswitch=False, daemons=False, as_installed=True) as lab:
        _as_debian_has_it(lab)
        for daemon in ("virtlogd", "libvirtd"):
            lab.run([daemon, "-d", "-p", f"/run/{daemon}.pid"])
        yield lab


@pytest.fixture
def state() -> Iterator[Path]:
    """A state directory with a way to it, as QEMU's users need one."""
    state = Path(tempfile.mkdtemp(prefix="novakit-state-"))
    state.chmod(0o711)
    (state / "keys").mkdir(mode=0o700)
    (state / "keys/secret").write_text("of the control plane")
    yield state
    shutil.rmtree(state)


@pytest.fixture
async def driver(lab: Lab, state: Path) -> AsyncIterator[LibvirtDriver]:
    uri = f"qemu:///system?socket={lab.run_dir}/libvirt/libvirt-sock"
    options, context = LibvirtOptions(uri=uri, acceleration="tcg"), HostContext(host="alpha", state_dir=str(state))
    driver = LibvirtDriver(options, context, libvirt_home=lab.directory / HOME)
    await driver.open()
    yield driver
    for guest in await driver.guests():
        await driver.destroy(guest.id)
    await driver.close()


@pytest.fixture
def plan(state: Path) -> GuestPlan:
    return waiting_guest(state / "image")


async def test_an_emulator_is_nobody_and_has_a_user_of_its_own(
    driver: LibvirtDriver, lab: Lab, state: Path, plan: GuestPlan
) -> None:
    await driver.create(plan)
    first = emulator_in(lab.run_dir, plan.id)
    require_nobody(first)
    other = attrs.evolve(plan, id=str(uuid.uuid4()))
    await driver.create(other)
    second = emulator_in(lab.run_dir, other.id)
    require_nobody(second)
    first_user = driver.options.first_user
    assert first.user != second.user
    assert {first.user, second.user} <= set(range(first_user, first_user + (1 << 16)))
    wanted = [Path("/etc/shadow"), state / "keys", state / "keys/secret", state / "instances"]
    wanted += [state / "instances" / plan.id / name for name in ("root.qcow2", "swap.raw")]
    wanted += [Path(f"/proc/{first.pid}/{name}") for name in ("mem", "environ", "fd", "root/", "maps")]
    for path in wanted:
        assert path.exists()
        assert not second.can_read(path, walled=False), path
        if not str(path).startswith("/proc"):
            assert not second.can_read(path), path
    assert "not permitted" in second.tries("kill", "-0", str(first.pid), walled=False).stderr
    assert [each.power for each in await driver.guests()] == [Power.RUNNING] * 2


async def test_where_kvm_is_another_groups_guests_have_that_one_and_a_way_that_the_setup_opens(
    driver: LibvirtDriver, lab: Lab, plan: GuestPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The group of /dev/kvm on Debian is not libvirt's; whether its directories let it pass, real guests tell."""
    kvm, home = grp.getgrnam("kvm").gr_gid, lab.directory / HOME
    monkeypatch.setattr(guest_users, "_group", lambda *_: kvm)
    monkeypatch.setattr(driver, "_own", guest_users.UsersOfGuests(group=kvm))
    with pytest.raises((Busy, Refused)):
        await driver.create(plan)
    await driver.destroy(plan.id)
    base = guest_users.Label(driver._base.user, kvm)
    closed = guest_users.choose(base, "kvm", FIRST, home)
    assert closed.group is None and closed.remedy.endswith(f"0751 {home}")
    _open_as_the_setup_does(lab)
    try:
        assert guest_users.choose(base, "kvm", FIRST, home).group == kvm
        await driver.create(plan)
        qemu = emulator_in(lab.run_dir, plan.id)
        require_nobody(qemu)
        assert qemu.user >= FIRST and set(qemu.says("Gid").split()) == {str(kvm)}
        assert not qemu.can_read(home, walled=False), "who passes does not list"
    finally:
        for name in ("", "channel", "channel/target"):
            (home / name).chmod(0o750)


async def test_what_an_emulator_holds_is_its_guests_and_the_image_stays_roots(
    driver: LibvirtDriver, lab: Lab, state: Path, plan: GuestPlan
) -> None:
    await driver.create(plan)
    qemu = emulator_in(lab.run_dir, plan.id)
    assert plan.image is not None
    held = {name: how for name, how in qemu.open_files().items() if name.startswith(str(state))}
    directory = state / "instances" / plan.id
    assert held == {
        str(directory / "root.qcow2"): os.O_RDWR,
        str(directory / "swap.raw"): os.O_RDWR,
        str(directory / "config.iso"): os.O_RDONLY,
        plan.image.path: os.O_RDONLY,
    }
    assert Path(plan.image.path).stat().st_uid == 0
    for name in ("root.qcow2", "swap.raw"):
        assert (directory / name).stat().st_uid == qemu.user
    await driver.destroy(plan.id)


async def test_a_guest_of_its_own_user_gets_its_tap_and_its_firmware(
    driver: LibvirtDriver, lab: Lab, plan: GuestPlan
) -> None:
    """A tap that only root may open, as the network drivers make it, and a file that UEFI writes to."""
    lab.run(["ip", "tuntap", "add", "dev", "tapown0", "mode", "tap", "vnet_hdr", "user", "0"])
    nic = Nic(port_id=str(uuid.uuid4()), mac="fa:16:3e:00:00:01", device="tapown0", mtu=1400)
    uefi = {"hw_firmware_type": "uefi"} if "COMPUTE_FIRMWARE_UEFI" in (await driver.host()).traits else {}
    await driver.create(attrs.evolve(plan, nics=(nic,), image_properties=uefi))
    qemu = emulator_in(lab.run_dir, plan.id)
    require_nobody(qemu)
    assert qemu.user >= driver.options.first_user
    lab.run(["ip", "link", "set", "tapown0", "up"])
    assert "LOWER_UP" in lab.run(["ip", "link", "show", "tapown0"]).stdout, "a tap that somebody holds has a carrier"


async def test_root_changes_no_owner_by_a_link_that_an_emulator_planted(
    driver: LibvirtDriver, lab: Lab, state: Path, plan: GuestPlan
) -> None:
    """libvirt changes owners of what it finds at names of its choice; each directory with such names is tried.

    Where the emulator's user can write, it leaves links to what is root's in place of all that is there.
    """
    await driver.create(plan)
    qemu = emulator_in(lab.run_dir, plan.id)
    treasure = state / "treasure"
    treasure.write_text("root's")
    before = treasure.stat()
    for directory in (state, *(path for path in state.rglob("*") if path.is_dir())):
        assert not qemu.can_write_in(directory), directory
    plant = f"""
        find {" ".join(LIBVIRTS)} -type d -writable 2>/dev/null | while read -r d; do
          echo "$d"
          for f in "$d"/*; do [ -e "$f" ] && rm -f "$f" && ln -sf {treasure} "$f" && echo "$f"; done
          for n in master-key.aes monitor.sock org.qemu.guest_agent.0 planted; do
            ln -sf {treasure} "$d/$n" && echo "$d/$n"
            ln -f {treasure} "$d/hard-$n" 2>/dev/null && echo "$d/hard-$n"
          done
        done"""
    done = qemu.tries("sh", "-c", plant)
    planted = done.stdout.split()
    assert not [path for path in planted if "hard-" in path], "a hard link to what is root's"
    writable = {path for path in planted if Path(f"/proc/{qemu.pid}/root{path}").is_dir()}
    assert writable, "libvirt gives each guest a directory of its own"
    strange = {path for path in writable if f"-nk-{plan.id[:8]}" not in path}
    assert strange <= {SHARED}, strange
    for power in (Power.SHUTDOWN, Power.RUNNING):
        await driver.set_power(plan.id, power, 0)
    await driver.suspend(plan.id)
    await driver.set_power(plan.id, Power.RUNNING, 0)
    await driver.destroy(plan.id)
    after = treasure.stat()
    assert (after.st_uid, after.st_gid, after.st_mode) == (before.st_uid, before.st_gid, before.st_mode)
    assert treasure.read_text() == "root's"
