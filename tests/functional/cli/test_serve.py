"""`novakit serve` as a process: wrong questions end with 2 and one sentence, SIGTERM ends with 0."""

import asyncio
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from novakit import cli
from tests.support.service import Api, Service

WITHIN = 60.0


def novakit(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "novakit", *arguments]
    environment = {**os.environ, "COLUMNS": "200"}
    return subprocess.run(
        command, cwd=cwd, env=environment, text=True, capture_output=True, timeout=WITHIN, check=False
    )


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """Insist on exit code 2 and one sentence without a traceback, and give it."""
    assert done.returncode == 2, done.stdout + done.stderr
    sentence = done.stderr.strip()
    assert sentence.startswith("novakit: "), sentence
    assert "\n" not in sentence
    assert "novakit ready" not in done.stdout
    return sentence


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("serve") / "state") as running:
        yield running


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("[api]\nmax_bodi = 5\n", "max_bodi"),
        ("[apy]\nmax_body = 5\n", "apy"),
        ("[api\n", "cannot be read"),
        ("[api]\nmax_body = 'much'\n", "max_body"),
        ("[conductor]\nworkers = 0\n", "workers"),
        ("[plugins]\nrequire = []\n", "require"),
        ('[plugins]\nrequired = ["accelerators:acme"]\n', "accelerators:acme"),
        ("[drivers.simulated]\nvcpu = 4\n", "vcpu"),
    ],
)
def test_a_wrong_configuration_file_is_one_sentence_that_names_the_key(tmp_path: Path, toml: str, words: str) -> None:
    (tmp_path / "novakit.toml").write_text(toml)
    listen = f"127.0.0.1:{_free_port()}"
    assert words in refused(novakit("serve", "--state", str(tmp_path), "--listen", listen))


@pytest.mark.parametrize("listen", ["8774", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:0", "127.0.0.1:70000", ":x"])
def test_a_wrong_address_is_refused(tmp_path: Path, listen: str) -> None:
    assert "HOST:PORT" in refused(novakit("serve", "--state", str(tmp_path / "state"), "--listen", listen))


def test_an_unknown_driver_is_refused_with_what_to_install(tmp_path: Path) -> None:
    sentence = refused(novakit("serve", "--state", str(tmp_path), "--driver", "nothing"))
    assert "drivers:nothing" in sentence
    assert "install" in sentence


def test_a_port_that_is_taken_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        sentence = refused(novakit("serve", "--state", str(tmp_path / "state"), "--listen", listen))
    assert listen in sentence


def test_a_second_novakit_on_the_same_state_is_refused_and_the_first_lives_on(service: Service) -> None:
    listen = f"127.0.0.1:{_free_port()}"
    sentence = refused(novakit("serve", "--state", str(service.state), "--listen", listen))
    assert f"process {service.pid}" in sentence
    assert service.process is not None
    assert service.process.poll() is None


def test_a_state_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    assert str(tmp_path / "state") in refused(novakit("serve", "--state", str(tmp_path / "state")))


def test_a_configuration_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    missing = str(tmp_path / "other.toml")
    assert missing in refused(novakit("serve", "--state", str(tmp_path), "--config", missing))


def test_simulated_hosts_need_the_simulated_driver(tmp_path: Path) -> None:
    state = str(tmp_path / "state")
    assert "--simulate" in refused(novakit("serve", "--state", state, "--simulate", "0"))
    assert "--simulate" in refused(novakit("serve", "--state", state, "--simulate", "2", "--driver", "libvirt"))


def test_a_scheduler_takes_a_name_that_is_one_and_other_roles_none(tmp_path: Path) -> None:
    state = str(tmp_path / "state")
    for name in ("", "../bus", "a b", "x" * 65):
        assert "--name" in refused(novakit("serve", "--state", state, "--role", "scheduler", "--name", name))
    assert "names a scheduler" in refused(novakit("serve", "--state", state, "--role", "api", "--name", "north"))


async def test_sigterm_lets_what_is_under_way_finish(tmp_path: Path) -> None:
    service = Service(tmp_path / "state")
    service.state.mkdir()
    (service.state / "novakit.toml").write_text("[drivers.simulated]\ncreate_seconds = 1.0\n")
    with service:
        async with aiohttp.ClientSession() as session:
            api = await Api.login(service, session)
            image = await api.image()
            server = await api.server("one", image)
            async with asyncio.timeout(WITHIN):
                path = f"/compute/v2.1/servers/{server}"
                while (await api.ok("GET", path))["server"]["OS-EXT-STS:task_state"] != "spawning":
                    await asyncio.sleep(0.02)
        assert service.process is not None
        service.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(service.process.wait, WITHIN) == 0
    with service:
        async with aiohttp.ClientSession() as session:
            api = await Api.login(service, session)
            [found] = await api.settled()
            assert found["status"] == "ACTIVE"


def test_state_and_secrets_are_their_owners_alone(service: Service) -> None:
    secrets = [*(service.state / "credentials").iterdir(), *(service.state / "enrolled").iterdir()]
    assert len(secrets) == 4
    for path in (service.state / "clouds.yaml", service.state / "novakit.db", service.state / "credentials", *secrets):
        assert path.stat().st_mode & 0o077 == 0, path
    assert service.state.stat().st_mode & 0o066 == 0


def test_a_hypervisors_own_user_gets_through_to_the_disks_and_can_list_nothing(service: Service) -> None:
    agents = service.state / "agents"
    for directory in (service.state, agents, agents / "images", *agents.glob("*/virt"), *agents.glob("*/network")):
        assert directory.stat().st_mode & 0o777 == 0o711, directory


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_help_says_what_a_command_is_for(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([command, "--help"])
    assert ended.value.code == 0
    usage, about, *_ = capsys.readouterr().out.split("\n\n")
    assert f"usage: novakit {command}" in usage
    assert not about.startswith(("options:", "positional arguments:")), "the command has no description"


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    shown = capsys.readouterr().out
    assert all(f"    {command} " in shown for command in cli.COMMANDS)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_start_says_what_it_waits_for_while_it_waits(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    service = Service(state)
    with (state / "setup.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        service.start(ready=r"novakit is waiting for the database \(1 s\)")
    end = time.monotonic() + WITHIN
    while "novakit ready" not in (state / "serve.out").read_text():
        assert time.monotonic() < end, "ready once the wait is over"
        time.sleep(0.05)
    assert service.stop() == 0
