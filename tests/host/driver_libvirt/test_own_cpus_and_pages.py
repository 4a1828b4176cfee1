"""CPUs and huge pages of their own for real guests, seen at the threads of QEMU and the counts of the kernel."""

import fcntl
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2] / "e2e"))
from hostlab import Lab, missing
from tutorial import Reader

WITHIN = 120.0
PAGES = 160
"""Huge pages of 2 MiB that the test reserves; a guest of 200 MiB takes 100 of them."""
COUNT = Path("/proc/sys/vm/nr_hugepages")
T = TypeVar("T")
BIN = Path(sys.executable).parent
OPTIONS = """
[drivers.libvirt]
cpu_dedicated_set = "1"
cpu_shared_set = "0"
"""


def lacking() -> str | None:
    if why := missing(libvirt=True):
        return why
    if len(os.sched_getaffinity(0)) < 2:
        return "one CPU to dedicate and one to share are needed"
    if not COUNT.exists() or not os.access(COUNT, os.W_OK):
        return f"{COUNT} cannot be written"
    return None


pytestmark = [
    pytest.mark.host,
    pytest.mark.slow,
    pytest.mark.skipif(lacking() is not None, reason=str(lacking())),
]


def until(look: Callable[[], T], what: str) -> T:
    end = time.monotonic() + WITHIN
    while not (seen := look()):
        assert time.monotonic() < end, f"{what}: not within {WITHIN:g} s"
        time.sleep(0.1)
    return seen


def free_pages() -> int:
    return int(re.search(r"HugePages_Free:\s+(\d+)", Path("/proc/meminfo").read_text())[1])  # type: ignore[index]


@pytest.fixture
def pages() -> Iterator[int]:
    """Reserve huge pages of the machine, which all who test here share."""
    with Path("/run/lock/novakit-huge-pages").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        before = COUNT.read_text()
        COUNT.write_text(str(PAGES))
        if int(COUNT.read_text()) < PAGES:
            COUNT.write_text(before)
            pytest.skip(f"the kernel finds no {PAGES} huge pages")
        yield free_pages()
        COUNT.write_text(before)


@pytest.fixture
def reader(pages: int, micro: Any, tmp_path: Path) -> Iterator[Reader]:
    """Somebody in a shell on a host of its own, on which the service runs."""
    state = tmp_path / "state"
    micro.seed(state)
    (state / "novakit.toml").write_text(OPTIONS)
    with Lab(libvirt=True, daemons=False) as lab:
        printed = tmp_path / "serve.out"
        argv = [BIN / "novakit", "serve", "--state", state, "--driver", "libvirt", "--network", "simulated"]
        with printed.open("w") as out:
            process = lab.popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out)

        def ready() -> bool:
            assert process.poll() is None, printed.read_text()
            return "novakit ready" in printed.read_text()

        until(ready, "novakit serve is ready")
        yield Reader(directory=tmp_path, guests=True, enter=lab.inside)
        lab.run(["kill", "-TERM", (state / "conductor.lock").read_text()])
        assert process.wait(WITHIN) == 0


def cpus_of_threads(reader: Reader, server: str) -> dict[str, set[str]]:
    """Give the sets of CPUs that the threads of a guest's QEMU may run on: each of its CPUs, and the `others`."""
    pid = f"$(cat /run/libvirt/qemu/nk-{server}.pid)"
    told = reader.type(f"grep -hE '^(Name|Cpus_allowed_list):' /proc/{pid}/task/*/status")
    found: dict[str, set[str]] = {}
    for name, cpus in re.findall(r"Name:\s+(.+)\nCpus_allowed_list:\s+(\S+)", told):
        found.setdefault(name if name.startswith("CPU ") else "others", set()).add(cpus)
    return found


def test_guests_get_cpus_and_pages_of_their_own_and_give_them_back(reader: Reader, pages: int) -> None:
    reader.follow("Use the ordinary client", "Give the cloud an image")
    admin = "openstack --os-cloud novakit-admin"
    reader.type(f"{admin} flavor create --vcpus 1 --ram 200 --disk 1 --property hw:cpu_policy=dedicated own")
    reader.type(f"{admin} flavor set --property hw:mem_page_size=large --property hw:emulator_threads_policy=share own")
    reader.type(f"{admin} flavor create --vcpus 1 --ram 200 --disk 1 shared")
    (host,) = json.loads(reader.type(f"{admin} resource provider list -f json"))
    held = f"{admin} resource provider usage show -f json {host['uuid']}"

    def create(name: str, flavor: str) -> dict[str, Any]:
        said = f"openstack server create --wait --flavor {flavor} --image novakit-micro --no-network -f json {name}"
        return dict(json.loads(reader.type(said)))

    first, beside = create("first", "own"), create("beside", "shared")
    assert cpus_of_threads(reader, first["id"]) == {"CPU 0/TCG": {"1"}, "others": {"0"}}
    assert cpus_of_threads(reader, beside["id"]) == {"CPU 0/TCG": {"0"}, "others": {"0"}}
    assert pages - free_pages() == 100
    domain = reader.type(f"virsh -c qemu:///system dumpxml nk-{first['id']}")
    assert "<page size='2048' unit='KiB' nodeset='0'/>" in domain
    usage = {one["resource_class"]: one["usage"] for one in json.loads(reader.type(held))}
    assert (usage["PCPU"], usage["VCPU"]) == (1, 1)

    reader.attempt("openstack server create --wait --flavor own --image novakit-micro --no-network second")
    refused = json.loads(reader.type("openstack server show -f json second"))
    assert refused["status"] == "ERROR" and "lack PCPU" in refused["fault"]["message"]

    reader.type("openstack server reboot --hard --wait first")
    assert cpus_of_threads(reader, first["id"])["CPU 0/TCG"] == {"1"} and pages - free_pages() == 100
    reader.type("openstack server delete --wait first second")
    until(lambda: free_pages() == pages, "the pages are free again")
    again = create("again", "own")
    assert cpus_of_threads(reader, again["id"])["CPU 0/TCG"] == {"1"}
    reader.type("openstack server delete --wait again beside")
    assert "nothing is orphaned" in reader.type("novakit audit")
