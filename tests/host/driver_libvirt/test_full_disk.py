"""The disk of a host with libvirt that is really full, in the middle of a build and all the time."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from hostlab import Lab, missing
from libvirt_cloud import Cloud, until

pytestmark = [
    pytest.mark.host,
    pytest.mark.slow,
    pytest.mark.skipif(missing(libvirt=True) is not None, reason=str(missing(libvirt=True))),
]
GIB = 6
OPTIONS = "[disk]\nlow_water_mb = 1\nreserved_mb = 1\n"


@contextmanager
def disk_at(directory: Path) -> Iterator[None]:
    """Mount a disk of its own, which takes no more room than what is written to it."""
    image = directory.with_name(f"{directory.name}.img")
    subprocess.run(["truncate", "-s", f"{GIB}G", image], check=True)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True)
    if subprocess.run(["mount", "-o", "loop", image, directory], check=False).returncode:
        pytest.skip("this machine mounts no files")
    directory.chmod(0o755)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", directory], check=True)


def room(directory: Path) -> int:
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize


def fill(directory: Path, left: int) -> None:
    """Leave about so many bytes, or none at all."""
    subprocess.run(["fallocate", "-l", str(room(directory) - max(left, 4 << 20)), directory / "other"], check=True)
    with (directory / "rest").open("wb", buffering=0) as file:
        try:
            while room(directory) > left:
                file.write(bytes(1 << 12))
        except OSError:
            assert room(directory) == 0


def clear(directory: Path) -> None:
    (directory / "other").unlink()
    (directory / "rest").unlink()


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    place = Path(tempfile.mkdtemp(prefix="novakit-state-"))
    place.chmod(0o755)
    agents = place / "state" / "agents"
    agents.mkdir(parents=True)
    try:
        with disk_at(agents), Lab(libvirt=True) as lab:
            cloud = Cloud(lab, place / "state", network="simulated")
            cloud.configure(more=OPTIONS)
            cloud.start()
            yield cloud
    finally:
        shutil.rmtree(place)


def ended(cloud: Cloud, id: str) -> dict[str, Any]:
    def look() -> dict[str, Any]:
        shown: dict[str, Any] = cloud.api("GET", f"compute/v2.1/servers/{id}")["server"]
        return shown if shown["status"] in ("ACTIVE", "ERROR") else {}

    return until(look, "the build ends")


def test_a_build_on_a_full_disk_fails_with_the_reason_and_stopping_and_deleting_go_on(cloud: Cloud, micro: Any) -> None:
    cloud.openstack(f"image create --disk-format qcow2 --container-format bare --file {micro.image} micro")
    image = cloud.api("GET", "image/v2/images?name=micro")["images"][0]["id"]
    cloud.openstack("flavor create --id eph --ram 256 --disk 1 --ephemeral 1 --vcpus 1 eph", "novakit-admin")
    agents, servers = cloud.state / "agents", "compute/v2.1/servers"

    def create() -> str:
        asked = {"name": "s", "flavorRef": "eph", "imageRef": image, "networks": [], "config_drive": True}
        return str(cloud.api("POST", servers, {"server": asked})["server"]["id"])

    before = create()
    assert ended(cloud, before)["status"] == "ACTIVE"
    process = cloud.domain()
    # More than the mark below which nothing is begun, and less than the build takes; then nothing at all.
    for left in (1_064_000, 0):
        fill(agents, left)
        late = create()
        shown = ended(cloud, late)
        assert shown["status"] == "ERROR" and "the host's disk is full" in shown["fault"]["message"], shown
        assert cloud.domain() == process and cloud.audit() == []
        cloud.openstack(f"server delete --wait {late}")
        if left:
            clear(agents)
    cloud.api("POST", f"{servers}/{before}/action", {"os-stop": None})
    until(lambda: cloud.server(before, "SHUTOFF"), "the guest stops")
    cloud.openstack(f"server delete --wait {before}")
    assert cloud.domain() == "" and cloud.audit() == []
    clear(agents)
    after = create()
    assert ended(cloud, after)["status"] == "ACTIVE" and cloud.audit() == []
