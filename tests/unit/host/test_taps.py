"""Taps are opened for emulators that may not, and never made."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from novakit_hookspecs.errors import Refused
from novakit_host.taps import CLONE, open_tap

pytestmark = pytest.mark.skipif(os.geteuid() != 0 or not CLONE.exists(), reason="only root makes taps")
NAME = f"tt{os.getpid()}"


@pytest.fixture
def tap() -> Iterator[str]:
    ip = ["ip", "tuntap", "add", "dev", NAME, "mode", "tap", "vnet_hdr"]
    if subprocess.run(ip, capture_output=True, check=False).returncode:
        pytest.skip("no taps can be made here")
    yield NAME
    subprocess.run(["ip", "link", "del", NAME], capture_output=True, check=True)


def test_a_tap_is_opened_once_and_stays_when_it_is_closed(tap: str) -> None:
    descriptor = open_tap(tap)
    assert not os.get_inheritable(descriptor)
    with pytest.raises(Refused, match="busy"):
        open_tap(tap)
    os.close(descriptor)
    os.close(open_tap(tap))


@pytest.mark.parametrize("name", ["lo", "nonesuch0"])
def test_what_is_no_tap_is_refused_and_nothing_is_made(name: str) -> None:
    with pytest.raises(Refused, match=f"no tap {name}"):
        open_tap(name)
    assert not Path("/sys/class/net/nonesuch0").exists()
