"""What QEMU says of the CPUs that it gives to guests."""

import json
from pathlib import Path

from novakit_driver_qemu import guest_cpu

ANSWER = {"return": {"model": {"name": "max", "props": {"avx2": True, "svm": False, "family": 6}}}}


def test_a_guest_has_the_cpu_of_its_host_where_the_hardware_helps() -> None:
    assert guest_cpu.model("kvm") == "host" and guest_cpu.model("tcg") == "max"


def test_features_are_what_is_true_of_the_expanded_model() -> None:
    lines = ['{"QMP": {"version": {}}}', '{"return": {}}', json.dumps(ANSWER), '{"event": "SHUTDOWN"}']
    assert guest_cpu.read("\n".join(lines).encode()) == {"avx2"}


def test_a_qemu_that_ended_in_the_middle_says_nothing() -> None:
    assert not guest_cpu.read(json.dumps(ANSWER).encode()[:-5]) and not guest_cpu.read(b"")


async def test_a_qemu_that_says_nothing_of_its_cpus_gives_no_features(tmp_path: Path) -> None:
    silent = tmp_path / "qemu"
    silent.write_text("#!/bin/sh\ncat > /dev/null\n")
    silent.chmod(0o755)
    assert not await guest_cpu.features("tcg", str(silent))
