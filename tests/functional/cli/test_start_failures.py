"""Every start that cannot be ends with exit code 2 and one sentence that says what to do, and never in a traceback."""

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from novakit.cli import main
from tests.support.service import free_port

Prepare = Callable[[Path], object]


@attrs.frozen
class Case:
    """What is wrong, and words that the sentence must have; `commands` are those that must notice."""

    name: str
    prepare: Prepare
    words: tuple[str, ...]
    commands: tuple[str, ...] = ("serve", "check", "doctor", "plugin", "admin")
    arguments: tuple[str, ...] = ()


def config(text: str | bytes) -> Prepare:
    def write(state: Path) -> None:
        state.mkdir(exist_ok=True)
        (state / "novakit.toml").write_bytes(text if isinstance(text, bytes) else text.encode())

    return write


def in_place_of_config(make: Callable[[Path], object]) -> Prepare:
    def prepare(state: Path) -> None:
        state.mkdir(exist_ok=True)
        make(state / "novakit.toml")

    return prepare


def policy(rules: str | None) -> Prepare:
    """Write a policy file, or name one that is not there."""

    def write(state: Path) -> None:
        config('[policy]\nfile = "nope.yaml"\n')(state)
        if rules is not None:
            (state / "nope.yaml").write_text(rules)

    return write


def file(name: str, content: bytes = b"x") -> Prepare:
    def write(state: Path) -> None:
        (state / name).parent.mkdir(parents=True, exist_ok=True)
        (state / name).write_bytes(content)

    return write


def folder(name: str) -> Prepare:
    return lambda state: (state / name).mkdir(parents=True)


def pipe(name: str) -> Prepare:
    def make(state: Path) -> None:
        (state / name).parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(state / name)

    return make


def link(name: str, aim: str) -> Prepare:
    def make(state: Path) -> None:
        (state / name).parent.mkdir(parents=True, exist_ok=True)
        (state / name).symlink_to(aim)

    return make


def loop(path: Path) -> None:
    path.symlink_to(path.name)


PLUGINS = ("serve", "check", "doctor", "plugin")
PIPELINE = (
    "serve",
    "check",
    "doctor",
)  # `plugin list` shows what keeps the scheduler from starting, and lists all the same
UNREADABLE = [
    Case("a directory", in_place_of_config(Path.mkdir), ("is a directory", "remove it")),
    Case("a pipe", in_place_of_config(os.mkfifo), ("is a pipe", "remove it")),
    Case("a device", in_place_of_config(lambda path: path.symlink_to("/dev/zero")), ("is a device", "remove it")),
    Case("a link to nothing", in_place_of_config(lambda path: path.symlink_to("/nope/x")), ("/nope/x", "correct it")),
    Case("a link to itself", in_place_of_config(loop), ("symbolic links", "correct its name")),
    Case("not UTF-8", config(b"a = 1\n# caf\xe9\n"), ("UTF-8 at line 2", "save it")),
    Case("zeros", config(bytes(100)), ("not TOML", "Correct that line")),
    Case("not TOML", config("[api\n"), ("not TOML", "line 1", "Correct that line")),
    Case("nested deep", config("a = " + "[" * 5000 + "]" * 5000), ("TOML",)),
    Case("far too large", config(b"#" * (2 << 20)), ("more than 1048576 bytes", "name another file")),
    Case("a key twice", config("[api]\nmax_body = 1\nmax_body = 2\n"), ("not TOML", "line 3")),
]
WRONG_VALUES = [
    Case("database is a number", config("database = 5"), ("database takes a URL", "postgresql+asyncpg://")),
    Case("mysql", config('database = "mysql+pymysql://u:hush@h/nova"'), ("MySQL", "SQLite or PostgreSQL")),
    Case("postgres without driver", config('database = "postgresql://h/n"'), ("write postgresql+asyncpg:// instead",)),
    Case("sqlite without driver", config('database = "sqlite:////tmp/x"'), ("write sqlite+aiosqlite:// instead",)),
    Case("no URL", config('database = "novakit.db"'), ("takes a URL such as",)),
    Case("unknown database", config('database = "redis://h/0"'), ("redis://", "not a database that novakit supports")),
    Case("sqlite without file", config('database = "sqlite+aiosqlite://"'), ("names no file",)),
    Case("sqlite with options", config('database = "sqlite+aiosqlite:////tmp/x?mode=ro"'), ("SQLite takes none here",)),
    Case(
        "libpq's word",
        config('database = "postgresql+asyncpg://u@127.0.0.1:1/n?sslmode=require"'),
        ("?sslmode=", "write ssl= instead"),
    ),
    Case(
        "no such way",
        config('database = "postgresql+asyncpg://u@h:1/n?ssl=bogus"'),
        ("is not known; write one of disable, allow",),
    ),
    Case(
        "nonsense", config('database = "postgresql+asyncpg://u@h:1/n?nonsense=1"'), ("?nonsense=", "ssl, host and port")
    ),
    Case("a file nowhere", config('database = "sqlite+aiosqlite:////nope/x.db"'), ("no such directory",), ("serve",)),
    Case("a directory", config('database = "sqlite+aiosqlite:////tmp"'), ("which is a directory",), ("serve",)),
    *(
        Case(f"no place {place}", config(f'database = "postgresql+asyncpg://u:hush@{place}"'), (words,))
        for place, words in (
            ("h:99999/n", "invalid host or port"),
            ("h:0/n", "invalid host or port"),
            ("[::1/n", "invalid host or port"),
            (f"{'x' * 64}:1/n", "invalid host or port"),
            ("a..b/n", "invalid host or port"),
            ("h/n?host=a..b", "not the name or address of a host"),
            ("h/n?host=a:1,b:99999", "not a number from 1 to 65535"),
            ("h/n?port=99999", "not a number from 1 to 65535"),
            ("h/n?port=", "not a number from 1 to 65535"),
            ("h/n%00", "control character"),
            ("h/n?host=%0a", "control character"),
        )
    ),
    *(
        Case(f"sqlite with %{code}", config(f'database = "sqlite+aiosqlite:///x%{code}"'), ("control character",))
        for code in ("00", "0A", "1f", "7F")
    ),
    Case("external_cidr", config('[network]\nexternal_cidr = "172.24.4.0/99"'), ("external_cidr", "172.24.4.0/24")),
    *(
        Case(
            f"external_cidr {cidr}", config(f'[network]\nexternal_cidr = "{cidr}"'), ("external_cidr takes a network",)
        )
        for cidr in ("0.0.0.0/0", "127.0.0.0/8", "224.0.0.0/4", "169.254.0.0/16")
    ),
    *(
        Case(
            f"CPUs {cpus}",
            config(f'[drivers.libvirt]\ncpu_shared_set = "{cpus}"'),
            ("cpu_shared_set takes",),
            ("serve", "check"),
        )
        for cpus in ("x-y", "3-1", "0-99999")
    ),
    Case("beyond time", config("[agent]\nreport_every = 1e300"), ("report_every must be at most",)),
    *(
        Case(f"external_gateway {last}", config(f'[network]\nexternal_gateway = "172.24.4.{last}"'), ("first or last",))
        for last in (0, 255)
    ),
    Case("an empty table of nobody", config("[schedular]"), ("unknown [schedular]",)),
    Case("a table without a name", config('[""]'), ("unknown []",)),
    Case(
        "a profile without a name", config('[device_profiles.""]\ntraits = ["CUSTOM_A"]'), ("a device profile's name",)
    ),
    Case("beyond days", config("[retention]\ndeleted_servers_days = 99999999999999"), ("at most 36500",)),
    Case("no class", config("[device_profiles.a]\nresources = {X = 1}"), ("standard resource class",)),
    Case("name in lines", config('[device_profiles."a\\nb"]\nresources = {PGPU = 1}'), ("profile's name has",)),
    Case("host bits", config('[network]\nexternal_cidr = "172.24.4.1/24"'), ("external_cidr", "host bits")),
    Case("far gateway", config('[network]\nexternal_gateway = "10.0.0.1"'), ("external_gateway", "not in")),
    Case("gateway", config('[network]\nexternal_gateway = "here"'), ("external_gateway", "IP address")),
    Case("javascript", config('[api]\npublic_url = "javascript:x"'), ("public_url", "http or https URL")),
    Case("URL without host", config('[api]\npublic_url = "https://"'), ("public_url", "http or https URL")),
    Case("URL with password", config('[api]\npublic_url = "https://u:p@h"'), ("public_url", "http or https URL")),
    Case("host above", config('[agent]\nhost = "../../evil"'), ("host takes a host name", "dots")),
    Case("host with slash", config('[agent]\nhost = "/etc"'), ("host takes a host name",)),
    Case("host empty", config('[agent]\nhost = ""'), ("host takes a host name",)),
    Case("agent address", config('[agent]\naddress = "nowhere"'), ("address takes an IP address",)),
    Case("a moment", config("[agent]\nheartbeat_every = 1e-300"), ("heartbeat_every must be at least 0.001",)),
    Case(
        "endless cache", config("[agent]\nimage_cache_gb = inf"), ("image_cache_gb", "takes a finite number, not inf")
    ),
    Case("beyond the cache", config("[agent]\nimage_cache_gb = 1e308"), ("image_cache_gb must be at most",)),
    Case("beyond shelving", config("[conductor]\nshelved_offload_after = 1e300"), ("must be at most 1000000000",)),
    Case("too many logs", config("[log]\nkeep = 9223372036854775807"), ("keep must be from 0 to 1000",)),
    Case(
        "filters = 5", config("filters = 5\n[scheduler]\nlimit_tenants_to_placement_aggregate = true"), ("not a table",)
    ),
    Case("not a number", config("[conductor]\npatience = nan"), ("patience", "takes a finite number, not nan")),
    Case("for ever", config("[agent]\nheartbeat_every = inf"), ("heartbeat_every", "takes a finite number, not inf")),
    Case("below nothing", config("[connections]\ntotal = 0"), ("total must be above 0",)),
    Case("proxies", config('[connections]\ntrusted_proxies = ["all"]'), ("trusted_proxies takes addresses",)),
    Case("strategy", config('[scheduler]\nplacement_strategy = "best"'), ("placement_strategy", "spread or stack")),
    Case("endpoint", config('[tracing]\nendpoint = "collector"'), ("endpoint takes an http or https URL",)),
    Case("plugins is a number", config("plugins = 5"), ("[plugins] is a table",)),
    Case("plugins key", config("[plugins]\nrequires = []"), ("[plugins] has no key 'requires'",), PLUGINS),
    Case("section is a number", config("api = 5"), ("takes a table of keys",)),
    Case("unknown section", config("[apis]\nx = 1"), ("unknown [apis]", "known are")),
    Case("unknown key", config("[api]\nmax_bodi = 1"), ("has no key 'max_bodi'", "Did you mean 'max_body'?")),
    Case("text for number", config('[api]\nmax_body = "1"'), ("takes a whole number",)),
]
PLUGIN_TABLES = [
    Case("misspelt driver", config("[drivers.libvirtt]\nx = 1"), ("[drivers.libvirtt]", "[drivers.libvirt]?"), PLUGINS),
    Case("unknown accelerator", config("[accelerators.zzz]\na = 1"), ("[accelerators.zzz]", "no plugin"), PLUGINS),
    Case("unknown network", config("[networks.nope]"), ("[networks.nope]", "there are ovs, simulated"), PLUGINS),
    Case("unknown scheduler", config("[schedulers.nope]"), ("[schedulers.nope]", "Correct the name"), PLUGINS),
    Case(
        "key of one not in use",
        config("[networks.ovs]\nbridg = 1"),
        ("[networks.ovs]", "bridg"),
        ("serve", "check", "plugin"),
    ),
    Case("key of the one in use", config("[drivers.simulated]\nvcpu = 1"), ("vcpu",), ("serve", "check")),
    Case("key of its network", config("[networks.simulated]\nvcpu = 1"), ("vcpu",), ("serve", "check")),
    Case("unknown filter table", config("[filters.nope]\nx = 1"), ("nope",), PIPELINE),
    Case("key of a filter", config("[filters.ram]\nnope = 1"), ("nope",), PIPELINE),
    Case("key of a filter not in use", config("[filters.io_ops]\nnope = 1"), ("filters.io_ops", "nope"), PIPELINE),
    Case("type of a weigher not in use", config('[weighers.metrics]\nmissing = "x"'), ("weighers.metrics",), PIPELINE),
    Case("huge multiplier", config(f"[weighers.ram]\nmultiplier = {'9' * 400}"), ("finite number, not 999",), PIPELINE),
    Case(
        "a long multiplier", config(f'[weighers.ram]\nmultiplier = "{"x" * 70_000}"'), ("number, not 'xxx",), PIPELINE
    ),
    Case("a long switch", config(f'[filters.ram]\nenabled = "{"x" * 70_000}"'), ("or false, not 'xxx",), PIPELINE),
    Case("a long key of plugins", config(f"[plugins]\n{'x' * 70_000} = 1"), ("[plugins] has no key 'xxx",), PLUGINS),
    Case("a long plugin", config(f'[plugins]\nrequired = ["{"x" * 70_000}"]'), ("xxx",), ("serve", "check")),
    Case("unknown weigher table", config("[weighers.nope]\nx = 1"), ("nope",), PIPELINE),
    Case("unknown filter", config('[scheduler]\nfilters = ["my.pkg.MyFilter"]'), ("my.pkg.MyFilter",), PIPELINE),
    Case("unknown scheduler driver", config('[scheduler]\ndriver = "nope"'), ("schedulers:nope",), ("serve", "check")),
    Case("endless multiplier", config("[weighers.ram]\nmultiplier = inf"), ("finite number, not inf",), PIPELINE),
    Case("required plugin", config('[plugins]\nrequired = ["filters:nope"]'), ("filters:nope",), ("serve", "check")),
    Case("no policy file", policy(None), ("nope.yaml", "does not exist"), ("serve", "check")),
    Case("policy is a directory", folder("policy.yaml"), ("is a directory", "name one"), ("serve",)),
    Case("policy is endless", link("policy.yaml", "/dev/zero"), ("is a device", "name one"), ("serve",)),
    Case("policy is nowhere", link("policy.yaml", "/nope/x"), ("/nope/x, which does not exist",), ("serve",)),
    Case("policy nested deep", policy("a: " + "[" * 3000), ("nested too deep", "one rule a line"), ("serve", "check")),
    Case(
        "driver in lines",
        config('[scheduler]\ndriver = "a\\nb"'),
        (r"without control characters, not 'a\nb'",),
        ("serve", "check"),
    ),
    Case("filters is a text", config('[scheduler]\nfilters = "ram"'), ("filters: takes a list, not 'ram'",), PIPELINE),
    Case("weighers is a number", config("[scheduler]\nweighers = 5"), ("weighers: takes a table of keys",), PIPELINE),
    Case(
        "no group", config('[conductor]\nbus_group = "of nobody"'), ("there is no group", "make it"), ("serve", "check")
    ),
    Case(
        "policy of no check",
        policy("'os_compute_api:servers:create': 'rule:nope'"),
        ("rule:nope",),
        ("serve", "check"),
    ),
]
DATABASE = ("serve", "doctor", "admin")
OF_HOST = f"agents/{socket.gethostname()}"
IDENTITY, CLOUDS = "the identity of a deployment belongs there", "the clouds.yaml of this cloud belongs there"
WIRES, GUESTS = f"{OF_HOST}/network/network.journal", f"{OF_HOST}/virt/guests.journal"
STATE = [
    Case("a database that is none", file("novakit.db", b"no database" * 100), ("restore a backup",), DATABASE),
    Case("a database that is a directory", folder("novakit.db"), ("database",), DATABASE),
    Case(
        "a database that is a pipe", pipe("novakit.db"), ("novakit.db, which is not a file", "move it away"), ("serve",)
    ),
    Case("a database nowhere", link("novakit.db", "/nope/x"), ("which is not a file", "move it away"), ("serve",)),
    Case("key is a pipe", pipe("keys/0"), ("The key file", "It is not a file; move it away"), ("serve",)),
    Case("lock is a pipe", pipe("conductor.lock"), ("conductor.lock is not a file", "move it away"), ("serve",)),
    Case("log is a pipe", pipe("novakit.log"), ("no process reads it", "--log"), ("serve",)),
    Case("log is a directory", folder("novakit.log"), ("novakit.log", "move it away"), ("serve",)),
    Case("images is a file", file("images"), ("images", "move it away"), ("serve",)),
    Case("keys is a file", file("keys"), ("keys", "move it away"), ("serve",)),
    Case("agents is a file", file("agents"), ("agents", "move it away"), ("serve",)),
    Case("lock is a directory", folder("conductor.lock"), ("conductor.lock", "move it away"), ("serve",)),
    Case("wires are a pipe", pipe(WIRES), ("network.journal is not a file; move it away",), ("serve",)),
    Case("wires are endless", link(WIRES, "/dev/zero"), ("network.journal is not a file",), ("serve",)),
    Case("wires are no text", file(WIRES, b"\xff\xfe\n"), ("network.journal, line 1", "Restore it"), ("serve",)),
    Case(
        "wires are others", file(WIRES, b'["a", 1]\n{"a": 1}\n'), ("line 2 is not an entry", "Restore it"), ("serve",)
    ),
    Case("wires are a directory", folder(WIRES), ("networks:simulated", "broke in open", "Is a directory"), ("serve",)),
    Case("guests are a pipe", pipe(GUESTS), ("guests.journal is not a file; move it away",), ("serve",)),
    Case("guests are others", file(GUESTS, b"5\n"), ("guests.journal, line 1 is not an entry",), ("serve",)),
    Case("clouds.yaml is a directory", folder("clouds.yaml"), ("is a directory and", CLOUDS, "move it"), ("serve",)),
    Case("clouds.yaml is a pipe", pipe("clouds.yaml"), ("is a pipe and", CLOUDS, "move it"), ("serve",)),
    Case("clouds.yaml is endless", link("clouds.yaml", "/dev/zero"), ("is a device and", CLOUDS), ("serve",)),
    Case("clouds.yaml is huge", file("clouds.yaml", bytes(2 << 20)), ("too large for the clouds.yaml",), ("serve",)),
    Case("clouds.yaml leads nowhere", link("clouds.yaml", "/nope/x"), ("a link to /nope/x", "correct it"), ("serve",)),
    Case("clouds.yaml is another list", file("clouds.yaml", b"- a\n"), ("is not a clouds.yaml", "Move it"), ("serve",)),
    Case(
        "clouds.yaml is no text", file("clouds.yaml", b"\xff\xfe"), ("UTF-8", "was overwritten", "move it"), ("serve",)
    ),
    Case("deployment is a directory", folder("deployment"), ("is a directory and", IDENTITY, "move it"), ("serve",)),
    Case("deployment is a pipe", pipe("deployment"), ("is a pipe and", IDENTITY), ("serve",)),
    Case("deployment is large", file("deployment", bytes(9000)), ("too large for the identity of",), ("serve",)),
    Case(
        "deployment is no text", file("deployment", b"\xff\xfe"), ("UTF-8", "was overwritten", "restore it"), ("serve",)
    ),
]
CASES = [*UNREADABLE, *WRONG_VALUES, *PLUGIN_TABLES, *STATE]


def run(command: str, state: Path, *more: str) -> int:
    at = ["--state", str(state)]
    match command:
        case "serve":
            return main(["serve", *at, "--listen", f"127.0.0.1:{free_port()}", *more])
        case "doctor":
            return main(["doctor", *at, "--driver", "simulated"])
        case "check":
            return main(["config", "check", *at])
        case "plugin":
            return main(["plugin", "list", *at])
    return main(["admin", "bootstrap", *at])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_keeps_a_start_from_being_is_said(case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = tmp_path / "state"
    case.prepare(state)
    for command in case.commands:
        assert run(command, state) == 2, command
        said = capsys.readouterr().err
        assert said.startswith(("novakit: ", "novakit serve would not start with these options: ")), (command, said)
        assert "Traceback" not in said and "hush" not in said, (command, said)
        assert len(said) < 2000, (command, said)
        for words in case.words:
            assert words in said, (command, said)


def test_a_driver_of_a_database_that_is_not_installed_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    config('database = "postgresql+asyncpg://u:hush@127.0.0.1:1/n"')(tmp_path)
    for command in DATABASE:
        assert run(command, tmp_path) == 2
        said = capsys.readouterr().err
        assert "pip install 'novakit[postgresql]'" in said and "hush" not in said


def test_a_database_that_is_not_there_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config(f'database = "postgresql+asyncpg://u:hush@127.0.0.1:{free_port()}/n"')(tmp_path)
    for command in DATABASE:
        assert run(command, tmp_path) == 2
        said = capsys.readouterr().err
        assert "The database cannot be reached" in said and "hush" not in said


def test_a_database_without_tls_that_is_asked_for_it_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], postgres_url: str
) -> None:
    config(f'database = "{postgres_url}?ssl=require"')(tmp_path)
    for command in DATABASE:
        assert run(command, tmp_path) == 2
        assert "it offers no TLS, which ssl in its URL asks for" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("lines", "arguments", "words"),
    [
        ("", ["--driver", "nope"], "drivers:nope"),
        ("", ["--network", "nope"], "networks:nope"),
        ('[scheduler]\nfilters = ["nope"]', [], "nope"),
        ("[scheduler]\nweighers = { nope = 1.0 }", [], "nope"),
        ("[drivers.simulated]\nvcpu = 1", [], "vcpu"),
        ('[policy]\nfile = "nope.yaml"', [], "nope.yaml"),
    ],
)
def test_what_needs_no_database_is_refused_before_one_is_asked(
    lines: str, arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config(f'database = "postgresql+asyncpg://u@127.0.0.1:{free_port()}/n"\n{lines}\n')(tmp_path)
    assert run("serve", tmp_path, *arguments) == 2
    said = capsys.readouterr().err
    assert words in said and "database cannot be reached" not in said


def test_a_port_that_is_taken_is_said_before_a_database_is_waited_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config(f'database = "postgresql+asyncpg://u@127.0.0.1:{free_port()}/n"\n')(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert main(["serve", "--state", str(tmp_path), "--listen", address]) == 2
    assert f"{address} cannot be listened on: Address already in use" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["serve", "check", "doctor", "plugin", "admin", "audit", "policy", "host"])
def test_a_state_directory_that_is_a_file_is_said(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "state"
    state.touch()
    words = {"audit": ["audit"], "policy": ["policy", "list"], "host": ["host", "list"]}.get(command)
    assert (main([*words, "--state", str(state)]) if words else run(command, state)) == 2
    assert f"{state} is a file and not a directory; name a directory" in capsys.readouterr().err


@pytest.mark.parametrize("below", ["", "sub"])
@pytest.mark.parametrize("command", ["serve", "check", "doctor", "plugin", "admin", "audit", "policy", "host"])
def test_a_state_directory_whose_link_leads_nowhere_is_said_and_nothing_is_made_there(
    command: str, below: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "state").symlink_to(tmp_path / "unmounted")
    state = tmp_path / "state" / below
    words = {"audit": ["audit"], "policy": ["policy", "list"], "host": ["host", "list"]}.get(command)
    assert (main([*words, "--state", str(state)]) if words else run(command, state)) == 2
    told = capsys.readouterr().err
    assert f"{tmp_path}/state is a link to {tmp_path}/unmounted, which does not exist;" in told
    assert not (tmp_path / "unmounted").exists()


@pytest.mark.parametrize("name", ["link", "link/novakit.log"])
def test_a_log_whose_link_leads_nowhere_is_said(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "unmounted" / "logs")
    assert run("serve", tmp_path / "state", "--log", str(tmp_path / name)) == 2
    told = f"{tmp_path}/link is a link to {tmp_path}/unmounted/logs, which does not exist"
    assert told in capsys.readouterr().err


def test_a_log_that_cannot_be_written_stops_no_service_and_is_said_once(tmp_path: Path) -> None:
    """Neither the log's file nor what the start tells; who sends the signal sees an orderly end.

    Python keeps what could not be written and tries again at its end, unless its environment says otherwise.
    """
    keeping = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    command = [sys.executable, "-m", "novakit", "serve", "--state", str(tmp_path / "s")]
    command += ["--listen", f"127.0.0.1:{free_port()}"]
    log = [*command, "--log", "/dev/full"]
    with subprocess.Popen(log, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=keeping) as process:
        assert process.stdout is not None and process.stderr is not None
        assert any(line.startswith(b"novakit ready") for line in process.stdout)
        process.terminate()
        assert process.wait(60) == 0
        said = process.stderr.read().decode()
    assert said.count("\n") == 1 and "the log /dev/full cannot be written: No space left on device" in said
    with Path("/dev/full").open("wb", 0) as full:
        for log in (["--log", "-"], ["--log", "/dev/full"]):
            (tmp_path / "s" / "bus.sock").unlink(missing_ok=True)
            process = subprocess.Popen([*command, *log], stdout=full, stderr=full, env=keeping)
            while not (tmp_path / "s" / "bus.sock").exists():
                assert process.poll() is None
            process.terminate()
            assert process.wait(60) == 0, log


NO_ADDRESSES = (
    *("127.0.0.1:99999", "127.0.0.1:-1", "127.0.0.1:", "", "127.0.0.1:0x50", "127.0.0.1:٨٠", "127.0.0.1:80 "),
    *("::1:8774", "fe80::1", "[::1]", "[::1:8774", "::1]:8774", "[::1]:", "[]:8774", "[nowhere]:8774", "[::1]:99999"),
    *("http://127.0.0.1:8774", "127.0.0.1/24:8774", "127.0.0.256:8774", "a b:8774", "a\0b:8774", f"{'x' * 300}:8774"),
)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--listen", "nowhere"], "--listen takes HOST:PORT"),
        *(([f"--listen={address}"], "--listen takes HOST:PORT") for address in NO_ADDRESSES),
        (["--listen", "no.such.host.invalid:8774"], "cannot be listened on"),
        (["--simulate", "0"], "--simulate takes a number"),
        (["--simulate", "99999999999"], "from 1 to 10000"),
        (["--state", f"/tmp/{'a' * 60}/{'b' * 60}"], "too long for the socket in it"),
        (["--driver", "nope"], "drivers:nope"),
        (["--network", "nope"], "networks:nope"),
        (["--config", "/nope/novakit.toml"], "does not exist"),
        (["--log", "/nope/log"], "/nope/log cannot be written: No such file"),
        (["--log", "/"], "name another file with --log"),
        (["--listen", f"{'a' * 70}.b:8774"], "cannot be listened on: it is not a valid host name"),
        (["--driver", "a\nb"], r"'drivers:a\nb'"),
        (["--name", "../x", "--role", "scheduler"], "--name takes up to 64 letters"),
    ],
)
def test_an_argument_that_cannot_be_is_said(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = arguments if arguments[0].startswith("--listen") else [*arguments, "--listen", f"127.0.0.1:{free_port()}"]
    assert main(["serve", "--state", str(tmp_path / "state"), *given]) == 2
    said = capsys.readouterr().err
    assert words in said and said.startswith("novakit: ") and "Traceback" not in said


@pytest.mark.parametrize("place", ["/proc/novakit", "/dev/null/state", "/sys/novakit", "\0", "x" * 300])
def test_a_state_directory_that_cannot_be_is_said(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--state", place, "--listen", f"127.0.0.1:{free_port()}"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("novakit: ") and "Traceback" not in said


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root and unshare, for a mount")
@pytest.mark.parametrize("command", ["serve", "admin bootstrap", "host enrol vm --into {state}/vm"])
def test_a_state_directory_that_is_read_only_is_said(command: str, tmp_path: Path) -> None:
    state = tmp_path / "s"
    state.mkdir()
    listen = ["--listen", f"127.0.0.1:{free_port()}"] if command == "serve" else []
    words = [*command.format(state=state).split(), "--state", str(state), *listen]
    typed = shlex.join([sys.executable, "-m", "novakit", *words])
    script = f"mount --bind {tmp_path} {tmp_path} && mount -o remount,bind,ro {tmp_path} && exec {typed}"
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 2, done.stderr
    assert re.match(r"novakit: [^\n]+\n\Z", done.stderr), done.stderr
    assert "ead-only" in done.stderr or "no database" in done.stderr, done.stderr


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root and unshare, for a mount")
def test_a_database_in_a_directory_that_is_read_only_is_said(tmp_path: Path) -> None:
    """Its lock is made beside it before it is opened, and is not what an operator has named."""
    place = tmp_path / "db"
    place.mkdir()
    config(f'database = "sqlite+aiosqlite:///{place}/novakit.db"')(tmp_path / "s")
    listen = ["--listen", f"127.0.0.1:{free_port()}"]
    typed = shlex.join([sys.executable, "-m", "novakit", "serve", "--state", str(tmp_path / "s"), *listen])
    script = f"mount --bind {place} {place} && mount -o remount,bind,ro {place} && exec {typed}"
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 2, done.stderr
    assert re.match(r"novakit: [^\n]+\n\Z", done.stderr), done.stderr
    assert f"names a file in {place}, and SQLite cannot write there; mount it for writing" in done.stderr, done.stderr


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root and unshare, for a small disk")
@pytest.mark.parametrize("size", ["64k"])
def test_a_disk_that_is_full_is_said(size: str, tmp_path: Path) -> None:
    script = (
        f"mount -t tmpfs -o size={size} none {tmp_path} && exec {sys.executable} -m novakit serve --state {tmp_path}/s "
        f"--listen 127.0.0.1:{free_port()}"
    )
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("novakit: ") and "full" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
