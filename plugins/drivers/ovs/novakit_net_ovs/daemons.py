"""Starts Open vSwitch's daemons where no init system did."""

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path

from novakit_hookspecs.errors import Busy, Refused
from novakit_host.sockets import answers
from novakit_net_linux.commands import CommandFailed, run
from novakit_net_ovs.ovsdb import DAEMON, SOCKET

DATABASE = Path("/etc/openvswitch/conf.db")
SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")
LOGS = Path("/var/log/openvswitch")
SYSTEMD = Path("/run/systemd/system")
START_WITHIN = 30.0
"""Seconds for the switch's daemons and kernel module to be ready, on an overloaded machine, too."""


async def start_missing() -> Sequence[str]:
    """Start ovsdb-server and ovs-vswitchd when they do not run. Returns what was started.

    Raises Refused when one of them is not installed or does not start.
    """
    database, switch = await asyncio.to_thread(lambda: (database_answers(), switch_runs()))
    if database and switch:
        return []
    if await asyncio.to_thread(SYSTEMD.is_dir):
        await _start("systemctl", "start", "openvswitch-switch")
        return ["started Open vSwitch by systemd"]
    if not await asyncio.to_thread(SCHEMA.exists):
        raise Refused("Open vSwitch is not installed: apt-get install openvswitch-switch")
    said = []
    if not database:
        await _start_database()
        said.append("started ovsdb-server")
    if not switch:
        await _start_switch()
        said.append("started ovs-vswitchd")
    return said


def database_answers() -> bool:
    """Return whether somebody listens on the database's socket."""
    return answers(SOCKET)


def switch_runs() -> bool:
    """Return whether the process of the pid file is the switch."""
    try:
        pid = int(DAEMON.read_text())
        return Path(f"/proc/{pid}/comm").read_text().strip() == "ovs-vswitchd"
    except (OSError, ValueError):
        return False


async def _start_database() -> None:
    # Debian's file is a link, dangling until the first start, which ovsdb-tool would not follow.
    database = await asyncio.to_thread(_prepare_files)
    if await asyncio.to_thread(database.exists):
        if (await _start("ovsdb-tool", "needs-conversion", str(database), str(SCHEMA))).strip() == "yes":
            await _start("ovsdb-tool", "convert", str(database), str(SCHEMA))
    else:
        await _start("ovsdb-tool", "create", str(database), str(SCHEMA))
    remotes = (f"--remote=punix:{SOCKET}", "--remote=db:Open_vSwitch,Open_vSwitch,manager_options")
    await _start("ovsdb-server", str(database), *remotes, *_daemon("ovsdb-server"))
    await _start("ovs-vsctl", "--no-wait", f"--timeout={START_WITHIN:.0f}", "init")


async def _start_switch() -> None:
    # Without the kernel's module the switch works in userspace.
    with contextlib.suppress(CommandFailed, Busy, OSError):
        await run(["modprobe", "openvswitch"], timeout=START_WITHIN)
    await _start("ovs-vswitchd", f"unix:{SOCKET}", *_daemon("ovs-vswitchd"))


def _prepare_files() -> Path:
    database = DATABASE.resolve()
    for directory in (database.parent, SOCKET.parent, LOGS):
        directory.mkdir(parents=True, exist_ok=True, mode=0o755)
    return database


def _daemon(name: str) -> tuple[str, ...]:
    return (f"--pidfile={SOCKET.parent / name}.pid", f"--log-file={LOGS / name}.log", "--detach", "--no-chdir")


async def _start(*argv: str) -> str:
    try:
        return await run(argv, timeout=START_WITHIN)
    except FileNotFoundError as error:
        raise Refused(f"the program {argv[0]} is missing: apt-get install openvswitch-switch") from error
    except (CommandFailed, Busy, OSError) as error:
        raise Refused(f"Open vSwitch could not be started ({error}); see {LOGS}, and start it") from error
