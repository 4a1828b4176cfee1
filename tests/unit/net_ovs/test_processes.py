"""What real processes see, in a PID namespace of the test's own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root and unshare, for a PID namespace"
)

BEGIN = """
import os, signal, sys, time
from pathlib import Path
from novakit_net_ovs import processes

def start(act):
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        act()
        os.write(writing, b".")
        signal.pause()
    os.read(reading, 1)
    return pid

place = Path(sys.argv[1])
"""


def told(script: str, place: Path) -> list[str]:
    """Run a script as the first process of a PID namespace."""
    enter = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    command = [*enter, sys.executable, "-c", BEGIN + script, place]
    return subprocess.run(command, check=True, text=True, capture_output=True, timeout=60).stdout.splitlines()


def test_what_a_process_in_a_chroot_sees_is_seen_until_it_has_ended(tmp_path: Path) -> None:
    (tmp_path / "srv/state").mkdir(parents=True)
    script = """
pid = start(lambda: os.chroot(place))
print(*processes.seen(["/srv/state", "/nowhere"]))
os.kill(pid, signal.SIGKILL)
os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
print("zombie", *processes.seen(["/srv/state", "/nowhere"]))
os.waitpid(pid, 0)
print("gone", *processes.seen(["/srv/state", "/nowhere"]), *processes.seen([str(place)]))
"""
    assert told(script, tmp_path) == ["/srv/state", "zombie", f"gone {tmp_path}"]


def test_what_a_process_whose_first_thread_has_ended_sees_counts_as_seen(tmp_path: Path) -> None:
    script = """
import ctypes, threading
def act():
    threading.Thread(target=lambda: (os.write(writing, b"."), time.sleep(60))).start()
    ctypes.CDLL(None).syscall(60, 0)  # exit, of this thread alone
reading, writing = os.pipe()
pid = os.fork()
if not pid:
    act()
os.read(reading, 1)
while Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z":
    time.sleep(0.01)
print(*processes.seen(["/nowhere"]))
os.kill(pid, signal.SIGKILL)
os.waitpid(pid, 0)
print("gone", *processes.seen(["/nowhere"]))
"""
    assert told(script, tmp_path) == ["/nowhere", "gone"]


def test_what_a_process_that_cannot_be_looked_at_sees_and_uses_counts(tmp_path: Path) -> None:
    script = """
pid = start(lambda: None)
space = {"nkd-1": Path("/")}  # in which nobody runs
print(*processes.seen(["/nowhere"]), processes.use(space, ()) == "")
os.setuid(65534)
print(*processes.seen(["/nowhere"]))
print(processes.use(space, (1,)) == f"process {pid} may run in nkd-1: Permission denied")
"""
    assert told(script, tmp_path) == ["True", "/nowhere", "True"]


def test_a_process_in_a_namespace_uses_it_unless_it_is_exempt(tmp_path: Path) -> None:
    script = """
pid = start(lambda: os.system("true"))
space = {"nkd-1": Path("/proc/self/ns/net"), "nkd-2": place / "none"}
print(processes.use(space, ()))
print(processes.use(space, (1,)) == f"process {pid} runs in nkd-1; end it first", processes.use(space, (1, pid)) == "")
"""
    assert told(script, tmp_path) == ["process 1 runs in nkd-1; end it first", "True True"]


def test_not_all_processes_are_there_in_a_pid_namespace_of_its_own(tmp_path: Path) -> None:
    assert told("print(processes.all_are_there())", tmp_path) == ["False"]
