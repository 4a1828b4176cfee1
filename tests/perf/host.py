"""From asking for a server to its SSH: a real guest through novakit against the same guest made by hand.

Both run in turns on one isolated host, from the same image, with the same domain XML and the same config drive, so the
ratio says what novakit costs, whatever the machine is.
By hand means what an administrator would type: an overlay, a tap on a bridge, `virsh define` and `virsh start`.
"""

import argparse
import asyncio
import json
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import attrs

from tests.support.service import Api, Service

ROOT = Path(__file__).parents[2]
ROUNDS = 3
SSH_WITHIN = 180.0
MAC, ADDRESS, NETWORK = "fa:16:3e:99:00:10", "10.99.0.10", "10.99.0.1/24"
BRIDGE, TAP = "br-hand", "tap-hand"


def _sh(*argv: str | Path, check: bool = True) -> str:
    done = subprocess.run(list(map(str, argv)), capture_output=True, text=True, check=False, timeout=120)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(map(str, argv))}: {done.stdout}{done.stderr}")
    return done.stdout


async def _answers(address: str) -> None:
    """Wait until somebody greets as an SSH server."""
    async with asyncio.timeout(SSH_WITHIN):
        while True:
            try:
                async with asyncio.timeout(1):
                    reader, writer = await asyncio.open_connection(address, 22, family=socket.AF_INET)
                    greeting = await reader.readline()
                    writer.close()
                if greeting.startswith(b"SSH-"):
                    return
            except (OSError, TimeoutError):
                pass
            await asyncio.sleep(0.02)


@attrs.define
class Cloud:
    """A cloud in which a server needs nothing but to be created: network, router, address and rules are there."""

    api: Api
    image: str
    flavor: str
    port: str
    address: str
    active: list[float] = attrs.field(factory=list)
    """Seconds until each server was ACTIVE, which is when its guest began to boot."""

    @classmethod
    async def ready(cls, service: Service, session: aiohttp.ClientSession, image: Path) -> "Cloud":
        """Make all that comes before a server."""
        admin = await Api.login(service, session, "novakit-admin")
        api = await Api.login(service, session)
        flavor = {"name": "bench", "vcpus": 1, "ram": 256, "disk": 1}
        made = await admin.ok("POST", "/compute/v2.1/flavors", {"flavor": flavor})
        public = (await api.ok("GET", "/network/v2.0/networks?router:external=true"))["networks"][0]["id"]
        network = await api.network(cidr="10.20.0.0/24")
        (subnet,) = (await api.ok("GET", f"/network/v2.0/subnets?network_id={network}"))["subnets"]
        outward = {"router": {"name": "r", "external_gateway_info": {"network_id": public}}}
        router = (await api.ok("POST", "/network/v2.0/routers", outward))["router"]["id"]
        await api.ok("PUT", f"/network/v2.0/routers/{router}/add_router_interface", {"subnet_id": subnet["id"]})
        group = {"security_group": {"name": "ssh"}}
        group_id = (await api.ok("POST", "/network/v2.0/security-groups", group))["security_group"]["id"]
        rule = {"security_group_id": group_id, "direction": "ingress", "protocol": "tcp"}
        rule |= {"port_range_min": 22, "port_range_max": 22}
        await api.ok("POST", "/network/v2.0/security-group-rules", {"security_group_rule": rule})
        port = {"network_id": network, "security_groups": [group_id]}
        port_id = (await api.ok("POST", "/network/v2.0/ports", {"port": port}))["port"]["id"]
        floating = {"floatingip": {"floating_network_id": public, "port_id": port_id}}
        address = (await api.ok("POST", "/network/v2.0/floatingips", floating))["floatingip"]["floating_ip_address"]
        return cls(api, await _upload(api, image), made["flavor"]["id"], port_id, address)

    @asynccontextmanager
    async def server(self) -> AsyncIterator[float]:
        """Make a server, give the seconds until it answered, and delete it."""
        began = time.monotonic()
        server = await self.api.server(
            "bench", self.image, flavor=self.flavor, networks=[{"port": self.port}], config_drive=True
        )
        while (await self.api.ok("GET", f"/compute/v2.1/servers/{server}"))["server"]["status"] == "BUILD":
            await asyncio.sleep(0.05)
        self.active.append(time.monotonic() - began)
        await _answers(self.address)
        yield time.monotonic() - began
        await self.api.ok("DELETE", f"/compute/v2.1/servers/{server}")
        async with asyncio.timeout(120):
            while (await self.api.call("GET", f"/compute/v2.1/servers/{server}"))[0] != 404:
                await asyncio.sleep(0.05)


async def _upload(api: Api, file: Path) -> str:
    body = {"name": "micro", "disk_format": "qcow2", "container_format": "bare"}
    image = await api.ok("POST", "/image/v2/images", body)
    headers = {"X-Auth-Token": api.token, "Content-Type": "application/octet-stream"}
    url = f"{api.url}/image/v2/images/{image['id']}/file"
    async with api.session.put(url, data=file.read_bytes(), headers=headers) as answer:
        assert answer.status == 204, await answer.text()
    return str(image["id"])


@attrs.define
class ByHand:
    """An administrator with a shell: the guest that novakit made is the pattern."""

    directory: Path
    xml: str
    disk: Path
    backing: Path
    started: float = 0.0
    """Seconds until the last guest began to boot."""

    @classmethod
    def like_the_guest_that_runs(cls, directory: Path) -> "ByHand":
        """Take the domain of the only guest there is, with a disk, a config drive, a card and a name of its own."""
        (name,) = _sh("virsh", "-c", "qemu:///system", "list", "--name").split()
        xml = _sh("virsh", "-c", "qemu:///system", "dumpxml", "--inactive", name)
        (root,) = re.findall(r"<source file='([^']*root[^']*)'", xml)
        (drive,) = re.findall(r"<source file='([^']*config[^']*)'", xml)
        info = json.loads(_sh("qemu-img", "info", "-U", "--output=json", root))
        disk, iso = directory / "hand.qcow2", directory / "hand.iso"
        shutil.copy(drive, iso)
        backing = directory / "backing"
        shutil.copy(info["full-backing-filename"], backing)
        for old, new in ((root, disk), (drive, iso), (str(Path(root).parent), directory)):
            xml = xml.replace(str(old), str(new))
        xml = re.sub(r"<metadata>.*</metadata>", "", xml, flags=re.DOTALL)
        xml = re.sub(r"<name>.*?</name>", "<name>hand</name>", xml, count=1)
        xml = re.sub(r"<uuid>.*?</uuid>", f"<uuid>{uuid.uuid4()}</uuid>", xml)
        xml = re.sub(r"<mac address='[^']*'", f"<mac address='{MAC}'", xml)
        xml = re.sub(r"<target dev='[^']*' managed='no'", f"<target dev='{TAP}' managed='no'", xml)
        return cls(directory, xml, disk, backing)

    def wire(self) -> "subprocess.Popen[bytes]":
        """Make the bridge and its DHCP server once, as novakit's network is made once."""
        kind = _sh("ovs-vsctl", "get", "Bridge", "br-int", "datapath_type").strip()
        _sh("ovs-vsctl", "add-br", BRIDGE, "--", "set", "Bridge", BRIDGE, f"datapath_type={kind}")
        _sh("ip", "addr", "add", NETWORK, "dev", BRIDGE)
        _sh("ip", "link", "set", BRIDGE, "up")
        _sh("ethtool", "-K", BRIDGE, "tx", "off", check=False)
        options = (
            "--port=0",
            "--bind-interfaces",
            "--dhcp-authoritative",
            "--no-ping",
            "--dhcp-range=10.99.0.0,static",
            f"--dhcp-host={MAC},{ADDRESS}",
        )
        files = (f"--dhcp-leasefile={self.directory}/leases", f"--pid-file={self.directory}/dnsmasq.pid")
        argv = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", f"--interface={BRIDGE}", *options, *files]
        return subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    @asynccontextmanager
    async def guest(self) -> AsyncIterator[float]:
        """Make a guest, give the seconds until it answered, and destroy it."""
        began = time.monotonic()
        _sh("qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", self.backing, self.disk, "1G")
        _sh("ip", "tuntap", "add", TAP, "mode", "tap")
        _sh("ip", "link", "set", TAP, "up")
        _sh("ovs-vsctl", "add-port", BRIDGE, TAP)
        file = self.directory / "hand.xml"
        file.write_text(self.xml)
        _sh("virsh", "-c", "qemu:///system", "define", file)
        _sh("virsh", "-c", "qemu:///system", "start", "hand")
        self.started = time.monotonic() - began
        await _answers(ADDRESS)
        yield time.monotonic() - began
        _sh("virsh", "-c", "qemu:///system", "destroy", "hand")
        _sh("virsh", "-c", "qemu:///system", "undefine", "hand")
        _sh("ovs-vsctl", "del-port", BRIDGE, TAP)
        _sh("ip", "link", "del", TAP)
        self.disk.unlink()


async def inside(directory: Path, image: Path, rounds: int) -> dict[str, Any]:
    """Measure, inside the host."""
    through, by_hand, started = [], [], []
    with Service(directory / "state", "--driver", "libvirt", "--network", "ovs") as service:
        async with aiohttp.ClientSession() as session:
            cloud = await Cloud.ready(service, session, image)
            async with cloud.server() as first:
                hand = ByHand.like_the_guest_that_runs(directory)
            dnsmasq = hand.wire()
            try:
                for _ in range(rounds):
                    async with hand.guest() as seconds:
                        by_hand.append(seconds)
                        started.append(hand.started)
                    async with cloud.server() as seconds:
                        through.append(seconds)
            finally:
                dnsmasq.terminate()
                dnsmasq.wait(10)
    ours, theirs = statistics.median(through), statistics.median(by_hand)
    return {
        "bench": "host.create_to_ssh",
        "rounds": rounds,
        "first_s": round(first, 2),
        "novakit_s": round(ours, 2),
        "novakit_active_s": round(statistics.median(cloud.active[1:]), 2),
        "by_hand_s": round(theirs, 2),
        "by_hand_started_s": round(statistics.median(started), 2),
        "ratio": round(ours / theirs, 3),
        "overhead_s": round(ours - theirs, 2),
    }


def run(rounds: int = ROUNDS) -> list[dict[str, Any]]:
    """Measure on an isolated host, or say why that cannot be done here."""
    sys.path.insert(0, str(ROOT / "tests" / "host"))
    from hostlab import Lab, missing

    from novakit_micro_image import build

    if why := missing(libvirt=True):
        return [{"bench": "host.create_to_ssh", "skipped": why}]
    with tempfile.TemporaryDirectory(prefix="novakit-bench-") as name, Lab(libvirt=True) as lab:
        directory = Path(name)
        directory.chmod(0o755)
        image = asyncio.run(build(directory / "micro.qcow2", directory / "packages", lambda line: None))
        command = ["env", f"PYTHONPATH={ROOT}", sys.executable, "-m", "tests.perf.host", "--inside", str(directory)]
        done = lab.run([*command, "--image", str(image), "--rounds", str(rounds)], timeout=900)
        return [json.loads(done.stdout.splitlines()[-1])]


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--image", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inside:
        print(json.dumps(asyncio.run(inside(given.inside, given.image, given.rounds))))
    else:
        for line in run(given.rounds):
            print(json.dumps(line))


if __name__ == "__main__":
    main()
