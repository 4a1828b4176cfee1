"""Which firmware for UEFI is found: descriptors as Debian has them, hidden, broken and of other machines."""

import json
from pathlib import Path
from typing import Any

import pytest

from novakit_driver_libvirt import firmware
from novakit_driver_libvirt.firmware import Firmware

SHIPPED, OWN = "usr/share/qemu/firmware", "etc/qemu/firmware"
SECURE = ["secure-boot", "enrolled-keys", "requires-smm", "acpi-s3"]
CAPABILITIES = """<domainCapabilities><os supported='yes'><enum name='firmware'><value>efi</value></enum>
<loader supported='yes'><value>/fw/plain.fd</value><enum name='secure'><value>yes</value></enum></loader>
</os></domainCapabilities>"""


def descriptor(root: Path, name: str, code: str, features: list[str], **changes: Any) -> None:
    """Write a descriptor and the files it speaks of."""
    for file in (code, f"vars.{code}"):
        (root / "fw").mkdir(exist_ok=True)
        (root / "fw" / file).touch()
    told: dict[str, Any] = {
        "interface-types": ["uefi"],
        "mapping": {
            "device": "flash",
            "executable": {"filename": f"/fw/{code}", "format": "raw"},
            "nvram-template": {"filename": f"/fw/vars.{code}", "format": "raw"},
        },
        "targets": [{"architecture": "x86_64", "machines": ["pc-i440fx-*", "pc-q35-*"]}],
        "features": features,
    }
    place = root / SHIPPED
    place.mkdir(parents=True, exist_ok=True)
    (place / name).write_text(json.dumps(told | changes))


def test_the_first_that_fits_counts(tmp_path: Path) -> None:
    descriptor(tmp_path, "50.json", "later.fd", SECURE)
    descriptor(tmp_path, "40.json", "secure.fd", SECURE)
    descriptor(tmp_path, "60.json", "plain.fd", ["acpi-s3"])
    descriptor(tmp_path, "70.json", "last.fd", [])
    assert firmware.installed(tmp_path) == Firmware(plain="/fw/plain.fd", secure="/fw/secure.fd")


def test_secure_boot_without_keys_or_a_guarded_store_is_neither(tmp_path: Path) -> None:
    descriptor(tmp_path, "40.json", "keyless.fd", ["secure-boot", "requires-smm"])
    descriptor(tmp_path, "50.json", "open.fd", ["secure-boot", "enrolled-keys"])
    assert firmware.installed(tmp_path) == firmware.NONE


@pytest.mark.parametrize(
    "changes",
    [
        {"interface-types": ["bios"]},
        {"targets": [{"architecture": "aarch64", "machines": ["virt-*"]}]},
        {"targets": [{"architecture": "x86_64", "machines": ["microvm"]}]},
        {"mapping": {"device": "memory", "filename": "/fw/plain.fd"}},
        {"mapping": {"device": "flash", "executable": {"filename": "/fw/plain.fd"}}},
        {"targets": "all"},
    ],
)
def test_firmware_of_another_kind_is_passed_over(tmp_path: Path, changes: dict[str, Any]) -> None:
    descriptor(tmp_path, "60.json", "plain.fd", [], **changes)
    assert firmware.installed(tmp_path) == firmware.NONE


def test_a_descriptor_whose_file_is_gone_is_passed_over(tmp_path: Path) -> None:
    descriptor(tmp_path, "60.json", "plain.fd", [])
    (tmp_path / "fw/vars.plain.fd").unlink()
    assert firmware.installed(tmp_path) == firmware.NONE


@pytest.mark.parametrize("text", ["", "{", "[]", "null"])
def test_the_hosts_own_file_hides_the_packages(tmp_path: Path, text: str) -> None:
    descriptor(tmp_path, "60.json", "plain.fd", [])
    (tmp_path / OWN).mkdir(parents=True)
    (tmp_path / OWN / "60.json").write_text(text)
    assert firmware.installed(tmp_path) == firmware.NONE


def test_what_libvirt_does_not_offer_does_not_count() -> None:
    both = Firmware(plain="/fw/plain.fd", secure="/fw/secure.fd")
    assert both.known_to(firmware.loaders(CAPABILITIES)) == Firmware(plain="/fw/plain.fd")
    assert (
        both.known_to(firmware.loaders("<domainCapabilities><os supported='no'/></domainCapabilities>")) == Firmware()
    )
