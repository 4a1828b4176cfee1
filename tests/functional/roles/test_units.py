"""The units of systemd that the page shows, and the drop-in of the libvirt driver, are what systemd understands."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from novakit_driver_libvirt.kvm_device import hide_from_unit
from tests.functional.roles.page import PAGE

pytestmark = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
UNITS = dict(re.findall(r"```ini\n# /etc/systemd/system/(\S+)\n(.*?)```", PAGE.read_text(), re.DOTALL))


def verified(directory: Path, unit: str) -> str:
    """What systemd has to say about a unit, its drop-ins read; nothing when it is right."""
    done = subprocess.run(
        ["systemd-analyze", "verify", unit],
        env={"SYSTEMD_UNIT_PATH": f"{directory}:/lib/systemd/system", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    # Units of other packages that are pulled in are none of ours.
    return "\n".join(line for line in done.stderr.splitlines() if str(directory) in line or unit in line)


@pytest.fixture
def units(tmp_path: Path) -> Path:
    novakit = Path(sys.executable).with_name("novakit")
    for name, text in UNITS.items():
        (tmp_path / name).write_text(text.replace("/opt/novakit/bin/novakit", str(novakit)))
    return tmp_path


@pytest.mark.parametrize(
    "unit", ["novakit@conductor.service", "novakit@scheduler.service", "novakit@api.service", "novakit-agent.service"]
)
def test_the_pages_units_are_understood(units: Path, unit: str) -> None:
    assert set(UNITS) == {"novakit@.service", "novakit-agent.service"}
    assert verified(units, unit) == ""


def test_a_fault_in_a_unit_would_be_told(units: Path) -> None:
    agent = units / "novakit-agent.service"
    agent.write_text(agent.read_text().replace("KillMode=", "KillModus="))
    assert "KillModus" in verified(units, "novakit-agent.service")


def test_the_drop_in_that_hides_a_broken_kvm_is_understood(tmp_path: Path) -> None:
    (tmp_path / "systemd/system").mkdir(parents=True)
    (tmp_path / "systemd/system/libvirtd.service").write_text("[Service]\nExecStart=/bin/true\n")
    drop_in = hide_from_unit("libvirtd", tmp_path)
    assert verified(tmp_path / "systemd/system", "libvirtd.service") == ""
    drop_in.write_text(drop_in.read_text().replace("BindReadOnlyPaths", "BindReadOnlyPath"))
    assert "BindReadOnlyPath" in verified(tmp_path / "systemd/system", "libvirtd.service"), "it is read"
