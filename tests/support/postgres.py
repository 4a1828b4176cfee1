"""A PostgreSQL cluster of the tests' own: on loopback, in a temporary folder, run by an unprivileged user.

A test that takes `postgres_url` gets an empty database, one that takes `postgres_with_tables` gets one with every table
and no row; both are skipped where PostgreSQL is not installed.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


def programs() -> Path | None:
    """Find the folder of PostgreSQL's programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    here = shutil.which("initdb")
    return Path(here).parent if here else None


def _user() -> str | None:
    """Name the user to run it as: PostgreSQL refuses root."""
    if os.geteuid():
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    pytest.skip("PostgreSQL does not run as root, and there is neither a user postgres nor nobody here")


def _port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Cluster:
    """A running server; `database()` makes an empty database and gives its URL."""

    original = ""
    """Name of the database that those with tables are copies of; empty until it is made."""

    def __init__(self, programs: Path, home: Path):
        self.programs, self.home, self.user, self.port = programs, home, _user(), _port()

    def run(self, program: str, *arguments: str) -> None:
        """Run one of PostgreSQL's programs as the cluster's user."""
        done = subprocess.run(
            [self.programs / program, *arguments],
            user=self.user,
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=60,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
        )
        assert done.returncode == 0, f"{program} {arguments}: {done.stderr or done.stdout}"

    def start(self) -> None:
        """Make the cluster and wait until it takes connections."""
        self.run("initdb", "-D", f"{self.home}/data", "-U", "novakit", "-A", "trust", "-E", "UTF8", "--no-sync")
        self.resume()

    def resume(self) -> None:
        """Run the cluster that is there, on the same port, and wait until it takes connections."""
        options = f"-p {self.port} -k {self.home} -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=200"
        # Vacuuming goes round all databases for ever, and each test has its own.
        options += " -c autovacuum=off -c full_page_writes=off"
        options += " -c huge_pages=off"  # those that a test of guests has set aside are not for it
        log = f"{self.home}/postgresql.log"
        self.run("pg_ctl", "-D", f"{self.home}/data", "-l", log, "-w", "-o", options, "start")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the server and to each of its processes."""
        server = int(Path(f"{self.home}/data/postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
        for process in (server, *map(int, children)):
            with suppress(ProcessLookupError):
                os.kill(process, number)

    def stop(self) -> None:
        """Stop it at once."""
        self.run("pg_ctl", "-D", f"{self.home}/data", "-w", "-m", "immediate", "stop")

    def database(self, *, copy_of: str = "template1") -> str:
        """Make a database, an empty one where no other is named, and give its URL."""
        name = f"test_{uuid.uuid4().hex}"
        self.run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "novakit", "-T", copy_of, name)
        return f"postgresql+asyncpg://novakit@127.0.0.1:{self.port}/{name}"

    def with_tables(self) -> str:
        """Make a database with every table and no row and give its URL."""
        from tests.support.stores import make_tables  # the core, which some distributions are tested without

        if not self.original:
            url = self.database()
            make_tables(url)
            self.original = url.rpartition("/")[2]
        return self.database(copy_of=self.original)


@contextmanager
def cluster_of_its_own() -> Iterator[Cluster]:
    """Run a cluster inside the block: one that a test may stop."""
    found = programs()
    if found is None:
        pytest.skip("PostgreSQL is not installed: `apt-get install postgresql` brings it")
    home = Path(tempfile.mkdtemp(prefix="novakit-postgres-"))
    try:
        cluster = Cluster(found, home)
        if cluster.user is not None:
            shutil.chown(home, cluster.user)
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop()
    finally:
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[Cluster]:
    """Run a cluster as long as the tests run."""
    with cluster_of_its_own() as cluster:
        yield cluster


@pytest.fixture
def postgres_url(postgres_cluster: Cluster) -> str:
    """Give the URL of an empty database."""
    return postgres_cluster.database()


@pytest.fixture
def postgres_with_tables(postgres_cluster: Cluster) -> str:
    """Give the URL of a database with every table and no row."""
    return postgres_cluster.with_tables()
