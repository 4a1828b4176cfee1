"""Looks at the host, the state and the service; changes nothing that matters."""

import asyncio
import os
import platform
import shutil
import socket
import stat
import tempfile
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path

from novakit import __version__, clouds
from novakit.agent import journal
from novakit.agent.measure import Measuring
from novakit.agent.notes import JOURNAL
from novakit.concurrency import locks
from novakit.config import Config
from novakit.errors import ConfigError, NovakitError, in_words
from novakit.plughost import Fault, Offer, PluginChoice, PluginHost, State, build, guarded, offerings, settled, tables
from novakit.scheduler.plugins import look
from novakit.store import migrate
from novakit.store.opening import why_not
from novakit_hookspecs.errors import Busy, NotFound, Refused
from novakit_hookspecs.findings import ExaminesHost, Finding, Verdict
from novakit_hookspecs.hosts import HostContext

GIB = 1 << 30
LOW_DISK_GIB, NO_DISK_GIB, LOW_MEMORY_GIB = 10.0, 0.5, 2.0
"""Below the first and the last `doctor` warns: a few images fill 10 GiB, one guest needs 2 GiB. Below the second
nothing can be stored."""
EXAMINED_WITHIN = 30.0
"""Seconds that one driver gets to look at its host."""


async def examine(config: Config) -> list[Finding]:
    """Look at everything a process with this configuration needs here."""
    findings = [_python(), *_state_directory(config.state), _memory(), *await asyncio.to_thread(_service, config)]
    findings.append(await _schema(config))
    findings += await asyncio.to_thread(lambda: [*_notes(config.state)])
    choice = PluginChoice.read(
        config.plugins, driver=config.driver, network=config.network, scheduler=config.scheduler.driver
    )
    installed = offerings()
    drivers = settled(choice, installed)
    choice = drivers.chosen(choice)
    tables.check(config.options, choice, config.roles)
    plugins = PluginHost.survey(choice, among=installed)
    findings += _plugins(plugins, choice)
    findings += _scheduler(config, plugins)
    for find, name in ((plugins.driver, drivers.virt), (plugins.network, drivers.network)):
        findings += await _driver(config, find, name)
    return [*findings, *Measuring.of(config.agent.compute_monitors).examine()]


def _ok(check: str, found: str) -> Finding:
    return Finding(check=check, verdict=Verdict.OK, found=found)


def _warn(check: str, found: str, remedy: str) -> Finding:
    return Finding(check=check, verdict=Verdict.WARN, found=found, remedy=remedy)


def _missing(check: str, found: str, remedy: str) -> Finding:
    return Finding(check=check, verdict=Verdict.MISSING, found=found, remedy=remedy)


def _python() -> Finding:
    user = "root" if os.geteuid() == 0 else f"user {os.geteuid()}"
    return _ok("novakit", f"{__version__} on Python {platform.python_version()}, as {user}")


def _state_directory(state: Path) -> Iterable[Finding]:
    """The directory's rights, and the room on its file system."""
    check = "state directory"
    there = next(path for path in (state, *state.parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        yield _missing(check, f"{there} is not writable", f"choose another --state, or chown {os.geteuid()} {there}")
    elif there != state:
        yield _ok(check, f"{state} is made at the first start")
    elif (status := state.stat()).st_uid not in (0, os.geteuid()):
        yield _missing(check, f"{state} belongs to user {status.st_uid}", "run novakit as that user, or chown it")
    elif others := [path for path in _secrets(state) if path.stat().st_mode & 0o077]:
        named = " ".join(str(path) for path in others)
        yield _warn(check, f"others can read secrets in {state}", f"chmod 600 {named}")
    elif stat.S_IMODE(status.st_mode) & 0o066:
        yield _warn(check, f"others can list {state}", f"chmod 711 {state}; novakit serve does that too")
    else:
        yield _ok(check, f"{state}, for its owner alone")
    yield _room(there)


def _secrets(state: Path) -> list[Path]:
    secrets = [state / "clouds.yaml", state / "novakit.db", *(state / "credentials").glob("*")]
    return [path for path in secrets if path.exists()]


def _room(directory: Path) -> Finding:
    free = shutil.disk_usage(directory).free / GIB
    found = f"{free:.1f} GiB free for images and disks"
    remedy = "free some space, or choose a --state on a larger file system"
    if free < NO_DISK_GIB:
        return _missing("disk", found, remedy)
    return _warn("disk", found, remedy) if free < LOW_DISK_GIB else _ok("disk", found)


def _memory() -> Finding:
    kib = {line.split(":")[0]: int(line.split()[1]) for line in Path("/proc/meminfo").read_text().splitlines()}
    free = kib.get("MemAvailable", 0) * 1024 / GIB
    found = f"{free:.1f} GiB available"
    if free < LOW_MEMORY_GIB:
        return _warn("memory", found, "real guests need the memory of their flavors; stop programs that are not needed")
    return _ok("memory", found)


def _service(config: Config) -> Iterable[Finding]:
    """Whether the service runs on this state, and whether it answers where `clouds.yaml` says."""
    check = "service"
    pid = locks.holder(config.state / "conductor.lock")
    login = clouds.read(config.state / "clouds.yaml").get("novakit-admin") if _readable(config.state) else None
    if pid is None:
        return [_ok(check, f"does not run; start it with novakit serve --state {config.state}")]
    if login is None:
        found = f"process {pid} runs, and {config.state}/clouds.yaml does not exist yet"
        return [_warn(check, found, "run novakit doctor again in a moment")]
    url = login["auth_url"]
    try:
        with urllib.request.urlopen(url, timeout=5):
            return [_ok(check, f"process {pid} runs, and {url} answers")]
    except OSError as error:
        log = config.state / "novakit.log"
        return [_warn(check, f"process {pid} runs, and {url} does not answer ({in_words(error)})", f"see {log}")]


def _readable(state: Path) -> bool:
    path = state / "clouds.yaml"
    return path.exists() and os.access(path, os.R_OK)


async def _schema(config: Config) -> Finding:
    check, wanted = "database schema", migrate.head()
    if config.store_url is None and not (config.state / "novakit.db").exists():
        return _ok(check, f"none yet; the first start makes revision {wanted}")
    try:
        present = await migrate.revision(config.database)
    except NovakitError as error:
        return _missing(check, error.message, "repair that, or name another database")
    except Exception as error:
        if (why := why_not(error)) is None and not isinstance(error, OSError):
            raise
        return _missing(
            check, why or f"the database cannot be read: {in_words(error)}", "repair it, or restore a backup"
        )
    if present is not None and present > wanted:
        return _missing(check, f"revision {present}, and this novakit knows only {wanted}", "upgrade novakit")
    if present != wanted:
        return _ok(check, f"revision {present or 'none'}; the next start brings it to {wanted}")
    return _ok(check, f"revision {present}")


def _notes(state: Path) -> Iterable[Finding]:
    """One line for each file with notes of guests that is damaged, and for each that an agent kept aside as such."""
    check, disk = "notes of guests", "check the disk for errors"
    for path in sorted(state.glob(f"agents/*/guests/{JOURNAL}")):
        try:
            damage = "; ".join(str(each) for each in journal.examine(path)[:5])
        except OSError as error:
            damage = f"it cannot be read ({error.strerror})"
        if damage:
            yield _warn(
                check,
                f"{path} is damaged: {damage}",
                f"{disk}, and start the host's agent again: it goes on with all other notes, and the conductor has it"
                " write those of its servers again",
            )
    for path in sorted(state.glob(f"agents/*/guests/*{journal.ASIDE}")):
        yield _warn(check, f"{path} was damaged, and is kept aside", f"{disk}, then remove the file")


def _plugins(plugins: PluginHost, choice: PluginChoice) -> Iterable[Finding]:
    """One line for each that is neither active nor left out on purpose, or one for them all."""
    quiet = (State.ACTIVE, State.DISABLED)
    counted = sum(plugin.state is State.ACTIVE for plugin in plugins.plugins)
    chosen = {f"drivers:{choice.driver}", f"networks:{choice.network}"}
    for plugin in plugins.plugins:
        needed = plugin.key in chosen or choice.names(plugin, choice.required)
        if plugin.state not in quiet or (needed and plugin.state is not State.ACTIVE):
            what, _, remedy = plugin.reason.rpartition("; ")
            yield Finding(
                check=f"plugin {plugin.key}",
                verdict=Verdict.MISSING if needed else Verdict.WARN,
                found=f"{plugin.state.value}: {what or remedy}",
                remedy=remedy if what else "see novakit plugin list",
            )
    for name in sorted(choice.required):
        if not any(choice.names(plugin, frozenset({name})) for plugin in plugins.plugins):
            yield _missing(f"plugin {name}", "required and not installed", "install it, or take it out of [plugins]")
    yield _ok("plugins", f"{counted} active")


def _scheduler(config: Config, plugins: PluginHost) -> Iterable[Finding]:
    """What would keep the scheduler from starting, and other spellings of its options."""
    check, remedy = "scheduler", "correct it; novakit serve refuses to start"
    try:
        wrong = look(plugins, config.scheduler, config.options)
    except ConfigError as error:
        wrong = [str(error)]
    for sentence in wrong:
        yield _missing(check, sentence, remedy)
    for sentence in config.warnings:
        what, _, instead = sentence.rpartition("; ")
        yield _warn(check, what, instead)
    if not wrong:
        yield _ok(check, "its filters and weighers can be built as the configuration says")


async def _driver(config: Config, find: Callable[[str], Offer], name: str) -> list[Finding]:
    """Let a chosen driver look at its host; one that is not there has its line among the plugins."""
    try:
        offer = find(name)
    except ConfigError:
        return []
    part = "virt" if offer.plugin.group.name == "drivers" else "network"
    check = f"{offer.plugin.key}"
    host = config.agent.host or socket.gethostname()
    own = config.state / "agents" / host / part
    # Beside the state, so that whoever cannot get there cannot get here either.
    above = next(path for path in (config.state, *config.state.parents) if path.is_dir())
    place = above if os.access(above, os.W_OK | os.X_OK) else None
    with tempfile.TemporaryDirectory(prefix="novakit-doctor-", dir=place) as scratch:
        os.chmod(scratch, 0o711)  # noqa: PTH101
        context = HostContext(host=host, state_dir=str(own) if own.is_dir() else scratch)
        try:
            driver = build(offer, config.options.get(offer.key), context)
        except (ConfigError, Fault) as error:
            if offer.key in config.options:
                return [_missing("configuration", str(error), "correct it; novakit serve refuses to start")]
            return [_missing(check, str(error), "report that to its author")]
        try:
            if not isinstance(driver, ExaminesHost):
                return [_ok(check, f"the {part} driver in use; it has nothing to check on this machine")]
            looking: Awaitable[Sequence[Finding]] = driver.examine_host()
            return list(await guarded(offer.plugin, "examine_host", looking, EXAMINED_WITHIN))
        except (ConfigError, Fault, Refused, Busy, NotFound) as error:
            return [_missing(check, str(error), "correct its options, or report that to its author")]
