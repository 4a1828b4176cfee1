"""Programs of the host: what they may use, what they see, and that none of them holds anybody up."""

import asyncio
import os
import platform
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from novakit_host import commands, system_calls
from novakit_host.commands import Limits, run, sandbox, tool

SMALL = Limits(cpu_s=1, memory=1 << 30, file=1 << 20)
walled = pytest.mark.skipif(sandbox() != "bubblewrap", reason="bubblewrap does not work here")


@pytest.fixture(params=["bubblewrap", "limits"])
def confinement(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways of confining a tool, whatever this machine has."""
    if request.param == "bubblewrap" and sandbox() != "bubblewrap":
        pytest.skip("bubblewrap does not work here")
    monkeypatch.setattr(commands, "_bubblewrap", lambda: request.param == "bubblewrap")
    return str(request.param)


@pytest.fixture
def with_cores() -> Iterator[None]:
    """Let programs write cores as large as this machine allows, so that a limit of its own shows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


async def test_output_and_errors_are_told_apart_and_input_is_given() -> None:
    ended = await run(["sh", "-c", "cat; echo wrong >&2; exit 3"], said="given")
    assert (ended.status, ended.out, ended.err, ended.said) == (3, "given", "wrong\n", "givenwrong")


async def test_a_program_that_reads_nothing_does_not_break_its_caller() -> None:
    assert (await run(["true"], said="x" * (1 << 20))).status == 0


async def test_what_a_program_started_ends_with_it(tmp_path: Path) -> None:
    ended = await run(["sh", "-c", f"sleep 60 & echo $! >{tmp_path}/pid; wait"], within=0.3)
    assert ended.status is None
    assert not await alive(int((tmp_path / "pid").read_text()))


async def test_a_program_ends_with_a_caller_who_is_cancelled(tmp_path: Path) -> None:
    task = asyncio.create_task(run(["sh", "-c", f"echo $$ >{tmp_path}/pid; exec sleep 60"]))
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not await alive(int((tmp_path / "pid").read_text()))


async def test_a_program_that_cannot_be_killed_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that hangs in the kernel, on a broken device, does not even end when it is killed."""
    monkeypatch.setattr(commands, "KILLED_WITHIN", 0.2)
    killed: list[int] = []
    monkeypatch.setattr(os, "killpg", lambda pid, number: killed.append(pid))
    began = time.monotonic()
    ended = await run(["sleep", "5"], within=0.1)
    assert ended.status is None
    assert time.monotonic() - began < 4
    assert len(killed) == 1
    monkeypatch.undo()
    os.killpg(killed[0], 9)


async def test_what_is_kept_of_the_output_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "KEEP", 1000)
    ended = await run(["sh", "-c", "head -c 1000000 /dev/zero | tr '\\0' x"])
    assert (ended.status, len(ended.out)) == (0, 1000)


@pytest.mark.parametrize(
    ("script", "word"),
    [
        ("while :; do :; done", ""),
        ("head -c 3000000 /dev/zero >{}/big", ""),
        ("exec python3 -c 'bytearray(2 << 30)'", "MemoryError"),
        ("exec python3 -c 'import os; [os.dup(0) for _ in range(300)]'", "Too many open files"),
        ("ulimit -c | grep -qx 0 || exit 0; exit 9", ""),
    ],
    ids=["cpu", "file", "memory", "open files", "core"],
)
@pytest.mark.usefixtures("with_cores")
async def test_a_tool_uses_no_more_than_its_limits(confinement: str, tmp_path: Path, script: str, word: str) -> None:
    ended = await tool(["sh", "-c", script.replace("{}", str(tmp_path))], writes=[tmp_path], limits=SMALL, within=30)
    assert ended.status not in (0, None)
    assert word in ended.said
    assert not (tmp_path / "big").exists() or (tmp_path / "big").stat().st_size <= 1 << 20


async def test_a_tool_has_none_of_roots_powers(confinement: str, tmp_path: Path) -> None:
    ended = await tool(["sh", "-c", "grep -E '^(CapEff|CapBnd|NoNewPrivs)' /proc/self/status"], writes=[tmp_path])
    told = dict(line.split(":\t") for line in ended.out.splitlines())
    assert int(told["CapEff"], 16) == 0
    assert told["NoNewPrivs"] == "1", "so that no program of the host gives any back"


@walled
async def test_a_tool_sees_what_it_is_named_and_nothing_else(tmp_path: Path) -> None:
    for name in ("read", "write", "secret"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    script = f"""
    cat {tmp_path}/read/file {tmp_path}/write/file
    cat {tmp_path}/secret/file /etc/shadow 2>/dev/null
    echo no >{tmp_path}/read/file
    echo yes >{tmp_path}/write/file
    ls /root /home /var /run /work 2>/dev/null
    ls /proc | grep -c '^[0-9]'
    ls /sys/class/net 2>/dev/null; tail -n +3 /proc/net/dev | grep -vc lo:
    """
    ended = await tool(["sh", "-c", script], reads=[tmp_path / "read"], writes=[tmp_path / "write"])
    assert ended.out.startswith("readwrite"), ended
    few, cards = ended.out.removeprefix("readwrite").split()
    assert int(few) <= 6, "its own processes"
    assert cards == "0", "no network"
    assert (tmp_path / "read/file").read_text() == "read"
    assert (tmp_path / "write/file").read_text() == "yes\n"


ASKS = """
import ctypes, errno, os, socket
kernel = ctypes.CDLL(None, use_errno=True)
def ask(number, *arguments):
    ctypes.set_errno(0)
    done = kernel.syscall(number, *arguments)
    return "done" if done >= 0 else errno.errorcode[ctypes.get_errno()]
asked = {
    "unshare": (272, 0x10000000), "mount": (165, b"none", b"/tmp", b"tmpfs", 0, 0), "setns": (308, 0, 0),
    "ptrace": (101, 0, 0, 0, 0), "keyctl": (250, 0, -3, 1), "bpf": (321, 0, 0, 0), "io_uring_setup": (425, 1, 0),
    "userfaultfd": (323, 1), "open_by_handle_at": (304, -100, 0, 0), "process_vm_readv": (310, 1, 0, 0, 0, 0, 0),
    "clone3": (435, 0, 0),
}
for name, call in asked.items():
    print(name, ask(*call))
for family in ("AF_INET", "AF_INET6", "AF_NETLINK", "AF_PACKET", "AF_VSOCK", "AF_ALG", "AF_UNIX"):
    try:
        socket.socket(getattr(socket, family), socket.SOCK_STREAM if family in ("AF_UNIX", "AF_INET") else 3).close()
        print(family, "done")
    except OSError as error:
        print(family, errno.errorcode[error.errno])
"""


@walled
@pytest.mark.skipif(platform.machine() != "x86_64", reason="asks by the numbers of x86_64")
@pytest.mark.skipif(not system_calls.denying(), reason="libseccomp is not installed")
async def test_a_tool_gets_nothing_of_the_kernel_that_it_has_no_need_of(tmp_path: Path) -> None:
    assert commands.filters()
    ended = await tool(["/usr/bin/python3", "-c", ASKS])
    told = dict(line.split() for line in ended.out.splitlines())
    assert len(told) == 18, ended
    assert told.pop("AF_UNIX") == "done"
    assert told.pop("clone3") == "ENOSYS", "so that a library takes clone, whose flags a filter sees"
    assert {name for name, said in told.items() if said != "EPERM"} == set(), told
    ended = await tool(["sh", "-c", "grep ^Seccomp: /proc/self/status; exec bash -c 'echo x >/dev/tcp/127.0.0.1/22'"])
    assert ended.out.split() == ["Seccomp:", "2"]
    assert ended.status != 0
    assert "not permitted" in ended.err


@walled
async def test_a_tool_can_neither_signal_nor_read_any_other_process(tmp_path: Path) -> None:
    script = f"kill -0 {os.getpid()} || ls /proc/{os.getpid()}/fd /proc/{os.getppid()}/root || readlink /proc/1/exe"
    ended = await tool(["sh", "-c", script])
    assert ended.out.strip() in ("", "/usr/bin/bwrap")
    assert "No such process" in ended.err


async def test_without_libseccomp_tools_run_within_their_walls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "_filter", lambda: b"")
    assert not commands.filters()
    assert (await tool(["sh", "-c", "echo ran"])).out == "ran\n"


async def test_a_tool_that_is_not_installed_is_named() -> None:
    with pytest.raises(FileNotFoundError, match="nonesuch"):
        await tool(["nonesuch"])


async def alive(pid: int) -> bool:
    """Say whether the process still runs after a while."""
    for _ in range(100):
        stat = Path(f"/proc/{pid}/stat")
        if not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return False
        await asyncio.sleep(0.02)
    return True
