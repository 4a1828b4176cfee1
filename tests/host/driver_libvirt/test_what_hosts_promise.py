"""What a real host promises of its guests' CPUs and firmware, seen by clients and in the guests."""

import asyncio
import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import attrs
import pytest

from novakit_driver_libvirt import firmware
from novakit_hookspecs.testing.virt import until
from novakit_host.cpu_traits import cpu_traits
from tests.support.service import Api, Service

sys.path.insert(0, str(Path(__file__).parents[1]))
from hostlab import Lab, missing

pytestmark = [
    pytest.mark.host,
    pytest.mark.slow,
    pytest.mark.skipif(missing(libvirt=True) is not None, reason=str(missing(libvirt=True))),
]
WITHIN = 120.0
FLAGS = re.compile(r"\bflags\t+: (.*)\n")
"""With the line's end: the console may be read in the middle of a line."""
PRINT_FLAGS = b"#!/bin/sh\ngrep -m 1 ^flags /proc/cpuinfo\n"
SECURE = re.compile(r"Secure boot (enabled)")
PRINT_SECURE = b"#!/bin/sh\ndmesg | grep -o 'Secure boot .*'\n"
GRUB = re.compile(r"Welcome to (GRUB)")
DENIED = re.compile(r"failed to load .*(Access Denied)")
LIBVIRT = """
[drivers.libvirt]
uri = "qemu:///system?socket={run_dir}/libvirt/libvirt-sock"
acceleration = "tcg"
"""
AGENT = """
[agent]
traits = ["CUSTOM_RACK_B"]
withheld_traits = ["HW_CPU_X86_3DNOW"]
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service over the libvirt of a host of its own."""
    state = tmp_path_factory.mktemp("cloud") / "state"
    state.mkdir()
    state.parent.chmod(0o755)
    with Lab(libvirt=True, openvswitch=False) as lab:
        (state / "novakit.toml").write_text(LIBVIRT.format(run_dir=lab.run_dir))
        with Service(state, "--driver", "libvirt", "--network", "simulated") as running:
            yield running


@attrs.define
class Cloud:
    """Two logins at the service."""

    service: Service
    user: Api
    admin: Api

    async def provider(self) -> dict[str, Any]:
        """Give the host's resource provider."""
        (found,) = (await self.admin.ok("GET", "/placement/resource_providers"))["resource_providers"]
        return dict(found)

    async def traits(self) -> set[str]:
        path = f"/placement/resource_providers/{(await self.provider())['uuid']}/traits"
        return set((await self.admin.ok("GET", path))["traits"])

    async def flavor(self, name: str, ram: int = 256, **specs: str) -> str:
        new = {"flavor": {"name": name, "vcpus": 1, "ram": ram, "disk": 1}}
        made = str((await self.admin.ok("POST", "/compute/v2.1/flavors", new))["flavor"]["id"])
        await self.admin.ok("POST", f"/compute/v2.1/flavors/{made}/os-extra_specs", {"extra_specs": specs})
        return made

    async def refused(self, image: str, flavor: str) -> str:
        """Ask for a server that no host can take, and give the sentence that says why."""
        server = await self.user.server("refused", image, flavor)
        fault = (await self.user.reach(server, "ERROR"))["fault"]["message"]
        await self.user.ok("DELETE", f"/compute/v2.1/servers/{server}")
        return str(fault)

    async def boot(self, image: str, flavor: str, script: bytes) -> str:
        """Start a server that runs a script when it is up."""
        given = {"config_drive": True, "user_data": base64.b64encode(script).decode()}
        server = await self.user.server("guest", image, flavor, **given)
        await self.user.reach(server, "ACTIVE")
        return server

    async def delete(self, *servers: str) -> None:
        for server in servers:
            await self.user.ok("DELETE", f"/compute/v2.1/servers/{server}")
        await self.user.gone(*servers)

    async def act(self, server: str, action: str, status: str) -> None:
        await self.user.ok("POST", f"/compute/v2.1/servers/{server}/action", {action: None})
        await self.user.reach(server, status)

    async def printed(self, server: str, pattern: re.Pattern[str]) -> str:
        """Wait until the guest has printed the pattern, and give its group."""

        async def look() -> str:
            asked = {"os-getConsoleOutput": {}}
            told = await self.user.ok("POST", f"/compute/v2.1/servers/{server}/action", asked)
            found = pattern.search(told["output"])
            return found[1] if found else ""

        return str(await until(look, f"the guest prints {pattern.pattern}", WITHIN))


@pytest.fixture
async def cloud(service: Service) -> AsyncIterator[Cloud]:
    async with aiohttp.ClientSession() as session:
        user = await Api.login(service, session)
        yield Cloud(service, user, await Api.login(service, session, "novakit-admin"))


def openstack(service: Service, command: str) -> str:
    """Run the ordinary client as the operator."""
    clouds = {"OS_CLIENT_CONFIG_FILE": str(service.state / "clouds.yaml"), "OS_CLOUD": "novakit-admin"}
    argv = [str(Path(sys.executable).with_name("openstack")), *command.split()]
    return subprocess.run(argv, env={**os.environ, **clouds}, text=True, capture_output=True, check=True).stdout


async def test_guests_have_every_cpu_feature_that_their_host_promises(cloud: Cloud, micro: Any) -> None:
    promised = {trait for trait in await cloud.traits() if trait.startswith("HW_CPU_X86_")}
    assert {"HW_CPU_X86_SSE42", "HW_CPU_X86_AESNI"} <= promised
    image = await cloud.user.image("micro", micro.image.read_bytes(), "qcow2")
    wanted = min(promised & {"HW_CPU_X86_AVX2", "HW_CPU_X86_SSE42"})
    fast = await cloud.flavor("fast", **{f"trait:{wanted}": "required"})
    server = await cloud.boot(image, fast, PRINT_FLAGS)
    flags = set((await cloud.printed(server, FLAGS)).split())
    assert promised <= cpu_traits(flags), f"{promised - cpu_traits(flags)} is not in the guest"
    assert {"sse4_2", "aes"} <= flags
    await cloud.delete(server)

    absent = min({"HW_CPU_X86_AVX512F", "HW_CPU_X86_XOP"} - promised)
    wide = await cloud.flavor("wide", **{f"trait:{absent}": "required"})
    assert absent in await cloud.refused(image, wide)


def tampered(image: Path, into: Path) -> bytes:
    """Give the image with another word in its signed loader."""
    raw, made = into / "tampered.raw", into / "tampered.qcow2"
    subprocess.run(["qemu-img", "convert", "-O", "raw", str(image), str(raw)], check=True)
    content = raw.read_bytes()
    assert content.count(b"UEFI SHIM\n") == 1
    raw.write_bytes(content.replace(b"UEFI SHIM\n", b"UEFI SHAM\n"))
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", str(raw), str(made)], check=True)
    raw.unlink()
    return made.read_bytes()


@pytest.mark.skipif(not firmware.installed().secure, reason="Secure Boot needs firmware: apt-get install ovmf")
async def test_secure_boot_starts_what_is_signed_and_nothing_that_was_changed(
    cloud: Cloud, micro: Any, tmp_path: Path
) -> None:
    assert {"COMPUTE_FIRMWARE_UEFI", "COMPUTE_SECURITY_UEFI_SECURE_BOOT"} <= await cloud.traits()
    secure = await cloud.flavor("secure", 512, **{"os:secure_boot": "required"})
    plain = await cloud.flavor("plain", 512)
    signed = await cloud.user.image("signed", micro.image.read_bytes(), "qcow2")
    changed = tampered(micro.image, tmp_path)
    forged = await cloud.user.image("forged", changed, "qcow2", hw_firmware_type="uefi")

    refused, started = [await cloud.boot(forged, flavor, PRINT_SECURE) for flavor in (secure, plain)]
    await cloud.printed(refused, DENIED)
    await cloud.printed(started, GRUB)
    await cloud.delete(refused, started)

    guest = await cloud.boot(signed, secure, PRINT_SECURE)
    await cloud.printed(guest, SECURE)
    (nvram,) = cloud.service.state.glob(f"agents/*/virt/instances/{guest}/nvram.fd")
    await cloud.act(guest, "os-stop", "SHUTOFF")
    kept = nvram.stat().st_ino
    await cloud.act(guest, "os-start", "ACTIVE")
    assert nvram.stat().st_ino == kept
    await cloud.delete(guest)
    audit = (await cloud.admin.ok("GET", "/novakit/v1/audit"))["audit"]
    assert not audit["orphaned"] and not audit["unchecked"], audit
    assert not [
        path
        for each in (refused, started, guest)
        for path in cloud.service.state.glob(f"agents/*/virt/instances/{each}")
    ]


async def test_what_operators_say_of_a_host_outlives_what_it_reports(cloud: Cloud) -> None:
    before, provider = await cloud.traits(), await cloud.provider()
    assert "HW_CPU_X86_3DNOW" in before, "what is withheld below"
    added = {"CUSTOM_GOLD", "STORAGE_DISK_SSD"}
    await cloud.admin.ok("PUT", "/placement/traits/CUSTOM_GOLD")
    body = {"traits": sorted(before | added), "resource_provider_generation": provider["generation"]}
    await cloud.admin.ok("PUT", f"/placement/resource_providers/{provider['uuid']}/traits", body)

    options = cloud.service.state / "novakit.toml"
    plain = options.read_text()
    for text, expected in (
        (plain + AGENT, (before | added | {"CUSTOM_RACK_B"}) - {"HW_CPU_X86_3DNOW"}),
        (plain, before | added),
    ):
        options.write_text(text)
        await asyncio.to_thread(cloud.service.stop)
        await asyncio.to_thread(cloud.service.start)
        assert await cloud.traits() == expected
    listed = await asyncio.to_thread(
        openstack, cloud.service, f"resource provider trait list -f json {provider['uuid']}"
    )
    assert {each["name"] for each in json.loads(listed)} == before | added
