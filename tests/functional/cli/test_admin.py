"""`novakit admin`: whoever may write the database gets in again, while the service runs or not."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from novakit import clouds
from tests.support.service import Service


def novakit(*arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "novakit", *arguments]
    environment = {**os.environ, "COLUMNS": "200"}
    return subprocess.run(
        command, env=environment, input=typed, text=True, capture_output=True, timeout=60, check=False
    )


def admin(service: Service, *arguments: str, typed: str = "") -> str:
    done = novakit("admin", *arguments, "--state", str(service.state), typed=typed)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def gets_in(service: Service, cloud: str = "novakit-admin") -> bool:
    """Say whether the login in `clouds.yaml` is accepted; `capacity` asks for nothing but one."""
    done = novakit("capacity", "--state", str(service.state), "--cloud", cloud, "--flavor", "1")
    assert done.returncode in (0, 1, 2), done.stderr
    return "requires authentication" not in done.stderr and "has no password" not in done.stderr


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for all, which the tests stop and start: they leave it running and its logins right."""
    with Service(tmp_path_factory.mktemp("admin") / "state") as running:
        yield running


def test_who_lost_the_logins_gets_in_again(service: Service) -> None:
    path = service.state / "clouds.yaml"
    before = clouds.passwords(path)
    assert gets_in(service)
    service.stop()
    path.unlink()
    service.start()
    assert "The password of admin and demo is not in" in service.output
    assert clouds.passwords(path) == {}, "a password that the database does not know helps nobody"
    assert not gets_in(service)
    done = novakit("audit", "--state", str(service.state))
    assert done.returncode == 2 and "reset-password admin" in done.stderr
    admin(service, "reset-password")
    assert gets_in(service) and clouds.passwords(path).keys() == {"novakit-admin"}
    service.stop()
    admin(service, "reset-password", "demo")
    assert path.stat().st_mode & 0o777 == 0o600
    after = clouds.passwords(path)
    assert after.keys() == before.keys() and not set(after.values()) & set(before.values())
    service.start()
    assert "The password of" not in service.output
    assert clouds.passwords(path) == after and gets_in(service)


def test_the_passwords_of_the_file_are_those_of_a_new_database(service: Service) -> None:
    path = service.state / "clouds.yaml"
    before = clouds.passwords(path)
    service.stop()
    for file in service.state.glob("novakit.db*"):
        file.unlink()
    service.start()
    assert clouds.passwords(path) == before and gets_in(service)
    assert "The database was empty" in service.output


def test_an_administrator_who_was_disabled_and_lost_the_role_is_brought_back(service: Service) -> None:
    secret = 'a "quoted" #pass: word'
    admin(service, "reset-password", "--password-stdin", typed=f"{secret}\n")
    assert clouds.passwords(service.state / "clouds.yaml")["novakit-admin"] == secret and gets_in(service)
    assert admin(service, "bootstrap") == "Nothing was missing.\n"
    service.stop()
    _lock_out(service.state)
    service.start()
    assert not gets_in(service)
    said = admin(service, "bootstrap")
    assert (
        "The user admin was disabled and is enabled again." in said
        and "has the role admin on its own project again" in said
    )
    assert gets_in(service)


def _lock_out(state: Path) -> None:
    import sqlite3

    with sqlite3.connect(state / "novakit.db") as database:
        database.execute("UPDATE identity_users SET enabled = 0 WHERE name = 'admin'")
        database.execute("DELETE FROM identity_assignments")


def test_wrong_questions_are_one_sentence(service: Service, tmp_path: Path) -> None:
    state = str(service.state)
    for arguments, words in (
        (("reset-password", "nobody", "--state", state), "no user nobody"),
        (("reset-password", "--state", str(tmp_path / "absent")), "no state directory"),
        (("reset-password", "--state", str(tmp_path)), "has no database"),
        (("reset-password", "--password-stdin", "--state", state), "found no password"),
        (("bootstrap", "--state", state, "--config", str(tmp_path / "absent")), "does not exist"),
    ):
        done = novakit("admin", *arguments)
        assert done.returncode == 2 and words in done.stderr and done.stderr.count("\n") == 1, done.stderr
