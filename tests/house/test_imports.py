"""What a start imports, so that it does not grow unseen: every command and every functional test pays it."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.service import free_port

HEAVY = {
    "aiohttp",
    "alembic",
    "argon2",
    "asyncpg",
    "cattrs",
    "cryptography",
    "libvirt",
    "lxml",
    "numpy",
    "opentelemetry.sdk",
    "oslo_config",
    "oslo_policy.policy",
    "oslo_utils",
    "pyroute2",
    "requests",
    "rich",
    "sqlalchemy",
    "sqlalchemy.dialects.postgresql",
    "sqlalchemy.orm",
    "stevedore",
    "structlog",
    "yaml",
}
"""Modules that take more than 10 ms to be imported, or more than a megabyte."""

TELLS = """
import sys
from novakit.cli import main
try:
    main(sys.argv[1:])
except SystemExit as ended:
    assert not ended.code, ended.code
print(*sys.modules, file=sys.stderr)
"""

SERVES = """
import os, signal, sys
from novakit.cli import main, serve
def ready(*_):
    print(*sys.modules, file=sys.stderr)
    os.kill(os.getpid(), signal.SIGTERM)
serve._show = ready
sys.exit(main(["serve", *sys.argv[1:]]))
"""
"""Tells what is imported once the service is ready, and stops it."""


def loaded(script: str, *arguments: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split())


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("flavor", "name", "m1.tiny")], ids=str)
def test_what_needs_no_service_imports_nothing_heavy(arguments: tuple[str, ...]) -> None:
    modules = loaded(TELLS, *arguments)
    assert not HEAVY & modules
    assert not [name for name in modules if name.startswith("novakit.cli.") and arguments[0] not in name]


@pytest.mark.parametrize("command", ["image", "guest", "audit", "explain", "capacity", "host", "policy"])
def test_a_command_that_asks_a_service_imports_no_service(command: str) -> None:
    assert HEAVY & loaded(TELLS, command, "--help") <= {"cattrs", "rich", "structlog"}


def test_a_service_imports_what_it_needs_with_no_policy_file_no_image_and_a_new_database(tmp_path: Path) -> None:
    modules = loaded(SERVES, "--state", str(tmp_path / "state"), "--listen", f"127.0.0.1:{free_port()}")
    needs = {"aiohttp", "argon2", "cattrs", "cryptography", "numpy", "sqlalchemy", "stevedore", "structlog"}
    assert HEAVY & modules == needs
    assert not [name for name in modules if name.startswith("novakit_driver_")]
