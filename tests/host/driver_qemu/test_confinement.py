"""A guest that has taken its QEMU over is nobody: tried from where the emulator stands, with real guests."""

import asyncio
import os
import socket
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from novakit_driver_qemu import QemuDriver, QemuOptions, launch
from novakit_driver_qemu.examination import missing as missing_packages
from novakit_driver_qemu.machine import socket_of
from novakit_driver_qemu.processes import running
from novakit_driver_qemu.qmp import QmpMonitor
from novakit_hookspecs.errors import Refused
from novakit_hookspecs.hosts import HostContext
from novakit_hookspecs.servers import GuestPlan, Power
from novakit_host.commands import sandbox
from tests.support.confinement import Emulator, require_nobody, waiting_guest

pytestmark = [
    pytest.mark.host,
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing_packages()), reason=f"needs {', '.join(missing_packages())}"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root starts guests as other users"),
]
SECRET = b"of the control plane"
LIMITED = "Max core file size", "Max open files", "Max processes"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state directory to which everybody could get, so that nothing above it protects what is in it."""
    for directory in (tmp_path, *tmp_path.parents):
        if directory.stat().st_mode & 0o001 == 0 and directory.is_relative_to("/tmp"):
            directory.chmod(directory.stat().st_mode | 0o011)
    state = tmp_path / "state"
    state.mkdir(mode=0o711)
    (state / "keys").mkdir(mode=0o700)
    (state / "keys/secret").write_bytes(SECRET)
    return state


@pytest.fixture
async def driver(state: Path) -> AsyncIterator[QemuDriver]:
    driver = QemuDriver(QemuOptions(acceleration="tcg"), HostContext(host="alpha", state_dir=str(state)))
    await driver.open()
    yield driver
    for guest in await driver.guests():
        await driver.destroy(guest.id)
    await driver.close()


@pytest.fixture
def plan(state: Path) -> GuestPlan:
    return waiting_guest(state / "image")


async def started(driver: QemuDriver, state: Path, plan: GuestPlan) -> Emulator:
    await driver.create(plan)
    [pid] = running(state / "instances")[plan.id]
    return Emulator(pid)


async def test_an_emulator_is_nobody_and_holds_what_is_its_guests_alone(
    driver: QemuDriver, state: Path, plan: GuestPlan
) -> None:
    emulator = await started(driver, state, plan)
    require_nobody(emulator)
    assert {emulator.says("CapBnd"), emulator.says("CapInh")} == {"0" * 16}
    assert not emulator.says("Groups")
    assert b"PATH=" in Path(f"/proc/{emulator.pid}/environ").read_bytes()
    assert len(Path(f"/proc/{emulator.pid}/environ").read_bytes().strip(b"\0").split(b"\0")) <= 4
    directory = state / "instances" / plan.id
    assert plan.image is not None
    assert {name: how for name, how in emulator.open_files().items() if not name.startswith("/usr")} == {
        str(directory / "root.qcow2"): os.O_RDWR,
        str(directory / "swap.raw"): os.O_RDWR,
        str(directory / "config.iso"): os.O_RDONLY,
        str(directory / "console.log"): os.O_WRONLY,
        plan.image.path: os.O_RDONLY,
    }


async def test_an_emulator_reads_nothing_of_the_host_or_of_other_guests(
    driver: QemuDriver, state: Path, plan: GuestPlan
) -> None:
    emulator = await started(driver, state, plan)
    other = await started(driver, state, attrs.evolve(plan, id=str(uuid.uuid4())))
    assert emulator.user != other.user
    theirs = state / "instances" / str(plan.id)
    wanted = [Path("/etc/shadow"), state / "keys", state / "keys/secret", state / "instances", theirs / "root.qcow2"]
    wanted += [Path(f"/proc/{other.pid}/{name}") for name in ("mem", "environ", "fd", "root/", "maps")]
    for path in wanted:
        assert path.exists()
        for walled in (True, False):
            assert not emulator.can_read(path, walled=walled), path
    assert emulator.can_read(Path("/usr/bin/true"))
    for sign in ("0", "TERM"):
        assert "not permitted" in emulator.tries("kill", f"-{sign}", str(other.pid)).stderr
    assert [each.power for each in await driver.guests()] == [Power.RUNNING] * 2


async def test_root_gives_no_file_away_and_an_emulator_can_plant_none(
    driver: QemuDriver, state: Path, plan: GuestPlan
) -> None:
    """Over all that is done to a guest: a link that its emulator planted would have to be in one of these places."""
    emulator = await started(driver, state, plan)
    user = emulator.user
    for step in (driver.pause, driver.suspend):
        await step(plan.id)
    await driver.set_power(plan.id, Power.RUNNING, 0)
    emulator = Emulator(running(state / "instances")[plan.id][0])
    assert emulator.user == user, "a guest keeps its user"
    for path in (state, *state.rglob("*")):
        status = path.lstat()
        assert (status.st_uid, status.st_gid) == (0, 0), path
        assert path.is_symlink() or not path.is_dir() or not emulator.can_write_in(path), path
        assert path.is_symlink() or not status.st_mode & 0o022, f"{path} is closed by what is above it alone"
    planted = state / "instances" / plan.id / "planted"
    assert not planted.exists()


@pytest.mark.parametrize("name", ["root.qcow2", "swap.raw", "config.iso", "console.log", "root.base"])
async def test_a_link_in_the_place_of_a_guests_file_is_not_followed_at_its_start(
    driver: QemuDriver, state: Path, plan: GuestPlan, name: str
) -> None:
    """Whoever planted it: what it leads to is neither opened for the guest nor made."""
    await started(driver, state, plan)
    await driver.set_power(plan.id, Power.SHUTDOWN, 0)
    at, treasure = state / "instances" / plan.id / name, state / "keys/secret"
    if name == "root.base":
        link = state / "image-of-somebody"
        link.symlink_to(treasure)
        at.write_text(str(link))
    else:
        at.unlink()
        at.symlink_to(treasure)
    with pytest.raises(Refused, match="cannot be opened"):
        await driver.set_power(plan.id, Power.RUNNING, 0)
    assert not running(state / "instances").get(plan.id)
    assert treasure.read_bytes() == SECRET


async def test_an_emulator_is_nobody_without_bubblewrap_too_and_whatever_groups_the_agent_has(
    driver: QemuDriver, state: Path, plan: GuestPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "sandbox", lambda: "limits")
    groups = os.getgroups()
    os.setgroups([0, 4])
    try:
        emulator = await started(driver, state, plan)
    finally:
        os.setgroups(groups)
    require_nobody(emulator)
    assert emulator.says("CapBnd") == "0" * 16
    assert not emulator.says("Groups")
    assert not emulator.can_read(state / "keys/secret", walled=False)


async def test_an_emulator_has_limits_of_its_own(driver: QemuDriver, state: Path, plan: GuestPlan) -> None:
    emulator = await started(driver, state, plan)
    lines = Path(f"/proc/{emulator.pid}/limits").read_text().splitlines()
    limits = {name: next(line for line in lines if line.startswith(name))[26:].split()[:2] for name in LIMITED}
    assert limits == {
        "Max core file size": ["0", "0"],
        "Max open files": [str(launch.FILES)] * 2,
        "Max processes": [str(plan.vcpus + launch.THREADS)] * 2,
    }


@pytest.mark.skipif(sandbox() != "bubblewrap", reason="bubblewrap does not work here")
async def test_an_emulator_sees_no_file_and_no_network_of_the_host(
    driver: QemuDriver, state: Path, plan: GuestPlan
) -> None:
    emulator = await started(driver, state, plan)
    inside = Path(f"/proc/{emulator.pid}/root")
    assert {path.name for path in inside.iterdir()} <= {
        *("bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr", "etc", "dev", "proc", "tmp")
    }
    assert not (inside / "etc/shadow").exists()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        knock = f"exec 3<>/dev/tcp/127.0.0.1/{port}"
        assert emulator.tries("bash", "-c", knock, walled=False).returncode == 0, "the host's own place leads there"
        assert emulator.tries("bash", "-c", knock).returncode != 0
    links = emulator.tries("sh", "-c", "tail -n +3 /proc/net/dev | cut -d: -f1").stdout.split()
    assert links == ["lo"]


async def test_an_emulator_starts_no_program_even_when_it_is_told_to(
    driver: QemuDriver, state: Path, plan: GuestPlan
) -> None:
    """QEMU has a command that runs one: a shell that takes the memory."""
    emulator = await started(driver, state, plan)
    await driver.close()  # QEMU serves one connection at a time
    children = Path(f"/proc/{emulator.pid}/task")
    async with QmpMonitor.connect(state / "instances" / plan.id, socket_of(plan.id)) as monitor:
        monitor._send("migrate", {"uri": "exec:sleep 60"})
        for _ in range(40):
            await asyncio.sleep(0.05)
            began = [each.read_text() for each in children.glob("*/children")]
            assert not "".join(began), "a program was started"
    await driver.open()


async def test_what_a_taken_emulator_writes_over_its_disks_header_is_not_followed(
    driver: QemuDriver, state: Path, plan: GuestPlan
) -> None:
    await started(driver, state, plan)
    await driver.set_power(plan.id, Power.SHUTDOWN, 0)
    disk = state / "instances" / plan.id / "root.qcow2"
    assert plan.image is not None
    content, other = bytearray(disk.read_bytes()), str(state / "keys/secret").encode()
    at = content.index(plan.image.path.encode())
    content[at : at + len(other)] = other
    content[16:20] = len(other).to_bytes(4, "big")
    disk.write_bytes(content)
    assert (await driver.set_power(plan.id, Power.RUNNING, 0)).power is Power.RUNNING
    [pid] = running(state / "instances")[plan.id]
    assert plan.image.path in Emulator(pid).open_files()
    assert not [name for name in Emulator(pid).open_files() if "secret" in name]
    assert plan.image.path in await driver.images_in_use()


async def test_guests_that_run_are_found_again_and_a_record_of_another_is_not_taken(
    driver: QemuDriver, state: Path, plan: GuestPlan
) -> None:
    emulator = await started(driver, state, plan)
    await driver.close()
    again: Any = QemuDriver(driver.options, driver.context)
    await again.open()
    assert [(each.id, each.power) for each in await again.guests()] == [(plan.id, Power.RUNNING)]
    assert running(state / "instances") == {plan.id: [emulator.pid]}
    await again.destroy(plan.id)
    assert not Path(f"/proc/{emulator.pid}/exe").exists()
    await again.close()
    await driver.open()
