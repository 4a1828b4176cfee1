"""A host whose /dev/kvm is there and does not work: QEMU is tried on it once, and guests start in seconds.

The stand-in is a device that can be opened and knows nothing of KVM, and a QEMU that aborts where it must use it.
"""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from hostlab import Lab, missing

pytestmark = [
    pytest.mark.host,
    pytest.mark.slow,
    pytest.mark.skipif(missing(libvirt=True) is not None, reason=str(missing(libvirt=True))),
]
QEMU = "/usr/bin/qemu-system-x86_64"
STAND_IN = """\
#!/bin/sh
case "$*" in *kvm*) [ ! -c /dev/kvm ] || echo "$*" >>/run/tries ;; esac
case "$*" in *"-accel kvm "*)
  [ ! -c /dev/kvm ] || { echo "kvm_buf_set_msrs: Assertion failed." >&2; kill -ABRT $$; } ;;
esac
exec /run/qemu -L /usr/share/qemu -L /usr/share/seabios -L /usr/lib/ipxe/qemu "$@"
"""
DRIVE = """
import asyncio, json, sys, uuid
from novakit_driver_libvirt import LibvirtDriver, LibvirtOptions
from novakit_hookspecs.hosts import HostContext
from novakit_hookspecs.servers import GuestPlan

async def main():
    driver = LibvirtDriver(LibvirtOptions(), HostContext(host="alpha", state_dir="/run/state"))
    said = {"prepared": list(await driver.prepare_host())}
    await driver.open()
    facts = await driver.host()
    said["acceleration"], said["why"] = facts.acceleration, facts.why
    if "guest" in sys.argv:
        plan = GuestPlan(id=str(uuid.uuid4()), name="a", hostname="a", vcpus=1, memory_mb=128, root_gb=1)
        said["power"] = (await driver.create(plan)).power.value
        await driver.destroy(plan.id)
    found = await driver.examine_host()
    said["findings"] = {each.check: [each.verdict.value, each.found, each.remedy] for each in found}
    await driver.close()
    print(json.dumps(said))

asyncio.run(main())
"""


@attrs.frozen
class Broken:
    """The host."""

    lab: Lab

    def drive(self, *words: str) -> dict[str, Any]:
        """Prepare the host and open the driver as novakit does, start a guest when asked to, and say what was seen."""
        return dict(json.loads(self.lab.run([sys.executable, "-c", DRIVE, *words]).stdout))

    def tries(self) -> int:
        """Count how often QEMU was run on the device."""
        return len((self.lab.run_dir / "tries").read_text().splitlines())


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Broken]:
    device = tmp_path / "kvm"
    os.mknod(device, 0o20666, os.makedev(1, 3))
    with Lab("broken", 9, libvirt=True, openvswitch=False, daemons=False, kvm=device) as lab:
        (lab.run_dir / "state").mkdir()
        (lab.run_dir / "stand-in").write_text(STAND_IN)
        (lab.run_dir / "stand-in").chmod(0o755)
        (lab.run_dir / "tries").touch()
        (lab.run_dir / "tries").chmod(0o666)
        lab.run(["sh", "-ec", f"touch /run/qemu; mount --bind {QEMU} /run/qemu; mount --bind /run/stand-in {QEMU}"])
        yield Broken(lab)


def test_what_novakit_starts_does_not_try_again(host: Broken) -> None:
    said = host.drive("guest")
    assert said["prepared"][-1] == "started libvirtd without the /dev/kvm that does not work here"
    assert said["acceleration"] == "tcg"
    assert "kvm_buf_set_msrs" in said["why"]
    assert said["power"] == "running"
    assert said["findings"]["libvirt"][0] == "ok"
    assert host.tries() == 1, "the probe alone"
    assert host.drive("guest")["prepared"] == []
    assert host.tries() == 1, "and its outcome is remembered"


def test_a_libvirtd_that_was_found_running_is_named_with_the_remedy_and_the_remedy_helps(host: Broken) -> None:
    host.lab.run(["sh", "-ec", "virtlogd -d -p /run/virtlogd.pid; libvirtd -d -p /run/libvirtd.pid"])
    pid = (host.lab.run_dir / "libvirtd.pid").read_text().strip()
    said = host.drive()
    assert host.tries() > 3, "the stand-in bites"
    [told] = said["prepared"]
    assert f"libvirtd (process {pid})" in told
    verdict, found, remedy = said["findings"]["libvirt"]
    assert (verdict, found) == ("warn", told)
    assert remedy.startswith(f"kill {pid}, ")
    host.lab.run(["sh", "-ec", f"kill {pid}; while kill -0 {pid}; do sleep 0.1; done 2>/dev/null"])
    before = host.tries()
    again = host.drive()
    assert again["prepared"] == ["started libvirtd without the /dev/kvm that does not work here"]
    assert again["findings"]["libvirt"][0] == "ok"
    assert host.tries() == before
