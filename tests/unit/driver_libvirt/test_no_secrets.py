"""What libvirt's URI may hold of a password is never shown."""

from pathlib import Path

import pytest

from novakit_driver_libvirt import LibvirtOptions
from novakit_driver_libvirt.calls import Calls
from novakit_driver_libvirt.examination import examine
from novakit_hookspecs.errors import Busy, Refused

CANARY = "kQ7canary3zWx"
URI = f"nosuch+tcp://someone:{CANARY}@127.0.0.1/system?token={CANARY}"


async def test_an_examination_tells_where_libvirt_is_without_the_password(tmp_path: Path) -> None:
    findings = await examine(LibvirtOptions(uri=URI), tmp_path, tmp_path, tmp_path, own_host=False)
    assert CANARY not in str(findings)
    (told,) = [one.found for one in findings if one.check == "libvirt"]
    assert "nosuch+tcp://***@127.0.0.1/system?***" in told


async def test_what_libvirt_says_of_a_uri_is_told_without_the_password() -> None:
    calls = Calls(f"qemu+tcp://someone:{CANARY}@127.0.0.1:port/system", 1, lambda *_: None, lambda: None)
    with pytest.raises((Busy, Refused)) as told:
        await calls.open()
    await calls.close()
    assert "qemu+tcp://***@127.0.0.1:port/system" in str(told.value), "libvirt quotes what it was given"
    error: BaseException | None = told.value
    while error is not None:
        assert CANARY not in str(error)
        error = error.__cause__ or error.__context__
