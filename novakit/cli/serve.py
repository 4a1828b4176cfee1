"""`novakit serve`: the whole cloud in one process, or some of its roles."""

import argparse
import asyncio
import errno
import gc
import ipaddress
import linecache
import os
import re
import shlex
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

# Before anything else that imports structlog, which it imports without rich.
from novakit import logs

# isort: split
import structlog

from novakit import __version__, allocator, config, world
from novakit.cli import paths
from novakit.config import files
from novakit.config.quoting import located, printable, quoted
from novakit.errors import ConfigError
from novakit.logs.waiting import Waits

DESCRIPTION = """\
Serve identity, image, network, compute, placement and volume APIs on one port.

Without further options this is a whole cloud on hosts that it simulates, with all of its state below --state.
With --driver NAME, the driver of a hypervisor on this machine, it runs real guests.
"""

COLLECTED = (10_000, 2, 2)
"""Containers made since the last collection that make the next one due, and after how many one goes further.

At Python's 700 a list of 1,000 servers is looked through thirty times while it is built, to find nothing: 6 of 54 ms.
All there is is looked through as often as before, so that no more garbage waits.
"""
COLLECTED_AT_START = (10_000, 1_000, 1_000)
"""The same until it is ready: only what is new is looked through, as what is imported stays.

To look through all there is once, at the end, took 0.2 of 2.3 s of CPU, and found next to nothing more. To let more
gather than 10,000 costs more as well: what is looked through has left the processor's caches.
"""

MOST_SIMULATED = 10_000
"""Hosts that one process simulates at most: each has an agent with a heartbeat, and a thousand take a core."""


ROLE = f"a role to run, one of {', '.join(config.ROLES)}; may be repeated; default all"


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `novakit serve` to the command line."""
    parser = subparsers.add_parser(
        "serve",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--state",
        metavar="DIR",
        type=paths.absolute,
        default="state",
        help="where all state lives; default %(default)s",
    )
    parser.add_argument(
        "--listen", metavar="HOST:PORT", default="127.0.0.1:8774", help="address of the APIs; default %(default)s"
    )
    parser.add_argument("--role", metavar="R", action="append", choices=config.ROLES, help=ROLE)
    parser.add_argument(
        "--name", metavar="NAME", help="name of this scheduler; default the first free one of scheduler-N"
    )
    parser.add_argument(
        "--driver", default="", help="virt driver, one of `novakit plugin list`; default is to simulate hosts"
    )
    parser.add_argument("--network", default="", help="network driver, one of `novakit plugin list`; follows --driver")
    parser.add_argument(
        "--simulate", metavar="HOSTS", type=int, default=1, help="how many hosts to simulate; default %(default)s"
    )
    parser.add_argument(
        "--config", metavar="FILE", type=paths.absolute, help="options in TOML; default DIR/novakit.toml"
    )
    parser.add_argument("--log", metavar="WHERE", help="a file to log to; default DIR/novakit.log; - is standard error")
    parser.set_defaults(func=serve)


def serve(args: argparse.Namespace) -> int:
    """Run until SIGTERM or SIGINT."""
    gc.set_threshold(*COLLECTED_AT_START)
    chosen = read(args)
    allocator.keep_little()
    # NumPy starts a thread for each processor to multiply large matrices, which nobody does here: 40 ms and the stacks.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from novakit import app

    app.prepare_state(chosen.state)
    before = os.umask(0o077)
    try:
        log_file = None if args.log == "-" else paths.absolute(args.log) if args.log else chosen.state / "novakit.log"
        _open_log(log_file, chosen)
        return asyncio.run(_serve(chosen, log_file))
    except Exception as error:
        from novakit.store.faults import is_full

        if not is_full(error):
            raise
        raise ConfigError(
            f"A disk became full during the start, that of the state directory {chosen.state} or of the database. "
            "Make room there, then start again."
        ) from error
    finally:
        os.umask(before)
        _hand_over(sys.stderr)


def _open_log(path: Path | None, chosen: config.Config) -> None:
    try:
        logs.configure(path, chosen.log)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        why = "no process reads it" if getattr(error, "errno", 0) == errno.ENXIO else _reason(error)
        if path is not None and (nowhere := files.leads_nowhere(path)):
            why = nowhere
        raise ConfigError(
            f"The log {located(path) if path else '-'} cannot be written: {why}; move it away, or name another file"
            " with --log (- is standard error)."
        ) from error


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _say(sentence: str) -> None:
    """Tell who watches; a terminal that is gone, or a full disk behind it, stops no service."""
    with suppress(OSError):
        print(sentence)
    _hand_over(sys.stdout)


def _hand_over(stream: TextIO | None) -> None:
    """Write what a stream still keeps, and drop what is not taken: Python's end would try again and exit with 120."""
    if stream is None:  # as where it was closed before the start
        return
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def read(args: argparse.Namespace) -> config.Config:
    """Make the configuration of file and command line. Raises ConfigError."""
    host, port = _address(args.listen)
    if not 1 <= args.simulate <= MOST_SIMULATED:
        raise ConfigError(f"--simulate takes a number of hosts from 1 to {MOST_SIMULATED}, not {args.simulate}.")
    roles = tuple(role for role in config.ROLES if role in (args.role or config.ROLES))
    if args.name is not None:
        _check_name(args.name, roles)
    state = paths.resolved(args.state)
    fields: dict[str, Any] = config.read(args.config or args.state / "novakit.toml")
    paths.require_config(args.config)
    return config.Config(
        state=state,
        host=host,
        port=port,
        roles=roles,
        name=args.name,
        driver=args.driver,
        network=args.network,
        simulate=args.simulate,
        **fields,
    )


_LISTEN = re.compile(r"(\[(?P<six>[0-9A-Fa-f:.%a-z]+)\]|(?P<host>[A-Za-z0-9._-]{0,253})):(?P<port>[0-9]{1,5})")


def _check_name(name: str, roles: tuple[str, ...]) -> None:
    if "scheduler" not in roles:
        raise ConfigError(
            f"--name {name} names a scheduler, and this process runs none; add --role scheduler, or leave it out."
        )
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", name):
        raise ConfigError(f"--name takes up to 64 letters, digits, - and _, not {name!r}.")


def _address(text: str) -> tuple[str, int]:
    """Return where to listen; no host means every IPv4 address. An IPv6 address has brackets, or its end is a port."""
    found = _LISTEN.fullmatch(text)
    if found is None or not 0 < int(found["port"]) < 65536 or not _is_host(found["six"], found["host"]):
        raise ConfigError(f"--listen takes HOST:PORT such as 127.0.0.1:8774 or [::1]:8774, not {quoted(text)}.")
    return found["six"] or found["host"] or "0.0.0.0", int(found["port"])


def _is_host(six: str | None, host: str | None) -> bool:
    if six is None:
        return not re.fullmatch(r"[0-9.]+", host or "0.0.0.0") or _is_address(ipaddress.IPv4Address, host or "0.0.0.0")
    return _is_address(ipaddress.IPv6Address, six)


def _is_address(kind: type[ipaddress.IPv4Address] | type[ipaddress.IPv6Address], text: str) -> bool:
    try:
        kind(text)
    except ValueError:
        return False
    return True


def _where(chosen: config.Config) -> str:
    """Return where the APIs answer, or the roles of a process that has none."""
    return f"at {chosen.url}" if "api" in chosen.roles else f"as {' and '.join(chosen.roles)}"


async def _serve(chosen: config.Config, log_file: Path | None) -> int:
    from novakit import app

    stop = asyncio.Event()
    starting = asyncio.current_task()

    def asked_to_stop() -> None:
        if starting is not None and not stop.is_set():
            starting.cancel()
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked_to_stop)
    started = world.monotonic()
    try:
        waits = Waits(lambda sentence: _say(f"novakit is {sentence}"))
        async with app.running(chosen, boundary=_crash_point(), waits=waits) as process:
            starting = None
            # Each class of attrs leaves the text of its methods there, for tracebacks: two megabytes of 600.
            linecache.clearcache()
            # What the start made stays: a full collection that looks at it stops everybody for tens of milliseconds.
            gc.collect(0)
            gc.freeze()
            gc.set_threshold(*COLLECTED)
            with suppress(OSError):  # what is told next finds out, too
                _show(process, log_file)
            _say(f"novakit ready in {world.monotonic() - started:.1f} s {_where(chosen)}")
            await stop.wait()
            structlog.get_logger(__name__).info("stopping")
            _say("novakit stops: finishing what is under way")
    except asyncio.CancelledError:
        if not stop.is_set():
            raise
        _say("novakit stops before it was ready")
    return 0


def _crash_point() -> Callable[[str], None] | None:
    """Die at the step boundary that NOVAKIT_CRASH_AT names, as if by kill -9; for crash tests."""
    place = os.environ.get("NOVAKIT_CRASH_AT")
    if not place:
        return None

    def boundary(here: str) -> None:
        if here == place:
            os.kill(os.getpid(), signal.SIGKILL)

    return boundary


def _show(process: Any, log_file: Path | None) -> None:
    """Print one screen: where everything is, and what to type next."""
    chosen: config.Config = process.config
    print(f"{_BOLD}novakit {__version__}{_PLAIN}\n" if _is_screen() else f"novakit {__version__}\n")
    for name, value in _rows(process, log_file):
        print(f"{name:<9}  {printable(value)}")
    for sentence in process.notices:
        print(f"\n{_NOTICE}{printable(sentence)}{_PLAIN}" if _is_screen() else f"\n{printable(sentence)}")
    if "api" in chosen.roles:
        print("\nNext, in another shell:")
        programs = Path(sys.executable).parent
        if not shutil.which("novakit") and (programs / "novakit").exists():
            print(f"  export PATH={shlex.quote(str(programs))}:$PATH")
        print(f"  export OS_CLIENT_CONFIG_FILE={shlex.quote(str(chosen.state / 'clouds.yaml'))} OS_CLOUD=novakit")
        if process.has_real_guests:
            print(f"  novakit image build-micro --state {shlex.quote(str(chosen.state))}")
        else:
            print("  openstack --os-cloud novakit-admin hypervisor list")
        print("  openstack flavor list\n")


def _rows(process: Any, log_file: Path | None) -> Iterator[tuple[str, str]]:
    chosen: config.Config = process.config
    if "api" in chosen.roles:
        for name in ("identity", "image", "network", "compute", "placement", "volume"):
            yield name, f"{chosen.url}/{name}"
    yield "roles", ", ".join(chosen.roles)
    if process.scheduler:
        yield "scheduler", process.scheduler
    if process.hosts:
        hosts = process.hosts[0] if len(process.hosts) == 1 else f"{len(process.hosts)} hosts"
        yield "driver", f"{chosen.driver} on {hosts}: {process.acceleration}"
        yield "network", chosen.network
    if "api" in chosen.roles:
        yield "limits", f"{process.connections} connections, {process.descriptors} descriptors"
    yield "state", str(chosen.state)
    yield "log", str(log_file or "standard error")


_BOLD, _NOTICE, _PLAIN = "\x1b[1m", "\x1b[1;33m", "\x1b[0m"
"""What a terminal takes for bold, for bold and yellow, and for neither."""


def _is_screen() -> bool:
    """Return whether somebody reads along on a terminal that knows bold, and wants it: see no-color.org.

    Not by rich, as other commands do: one screen is not worth the 50 ms and 5 MiB that it takes.
    """
    if os.environ.get("NO_COLOR") or os.environ.get("TERM", "dumb") in ("dumb", "unknown"):
        return False
    return sys.stdout is not None and sys.stdout.isatty()
