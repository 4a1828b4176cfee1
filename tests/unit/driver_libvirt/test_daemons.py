"""Whether the host can limit the CPUs of guests."""

from pathlib import Path

import pytest

from novakit_driver_libvirt.daemons import cpus_are_limited


@pytest.mark.parametrize(
    ("line", "controllers", "limited"),
    [
        ("proc /proc proc rw 0 0", "", False),
        ("cgroup {at} cgroup rw,relatime,cpu,cpuacct 0 0", "", True),
        ("cgroup {at} cgroup rw,cpuset 0 0", "", False),
        ("cgroup2 {at} cgroup2 rw,nosuid 0 0", "cpuset cpu io memory", True),
        ("cgroup2 {at} cgroup2 rw,nosuid 0 0", "cpuset io", False),
    ],
)
def test_a_control_group_for_cpus_is_found(line: str, controllers: str, limited: bool, tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text(f"{controllers}\n")
    (tmp_path / "mounts").write_text(f"/dev/vda / ext4 rw 0 0\n{line.format(at=tmp_path)}\n")
    assert cpus_are_limited(tmp_path / "mounts") is limited
