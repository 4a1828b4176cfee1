"""The roles run as users of their own, as the page says, and what is one's can the other not read."""

import os
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import aiohttp
import pytest

from tests.functional.roles.page import HOST, ROOT, AsThePageSays, lines
from tests.support.distributions import EVERY
from tests.support.service import Api

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root starts processes as other users"),
    pytest.mark.skipif(not shutil.which("setpriv") or not shutil.which("unshare"), reason="needs util-linux"),
]
USERS = {"root": 0, "novakit": 64101, "novakit-host": 64102}
GROUP = ("novakit-bus", 64100)
INSIDE = """
set -e
mount --bind "$1/python" "$1/python"; mount --bind "$2" "$1/python"
mount --bind "$3" "$1/site"; mount --bind "$4" "$1/repository"
mount --bind "$1/passwd" /etc/passwd; mount --bind "$1/group" /etc/group
shift 4
exec "$@"
"""
"""The interpreter and the packages may lie where only root gets to, so each process has them where everybody does."""


class OfSeparateUsers(AsThePageSays):
    """Each role as the user that the page names; the control plane's share one."""

    def __init__(self, directory: Path, agent: str):
        (directory / "state").mkdir(mode=0o711)
        super().__init__(directory)
        self.user_of = {"conductor": "novakit", "api": "novakit", "scheduler": "novakit", "agent": agent}
        with (self.state / "novakit.toml").open("a") as file:
            file.write(f'[conductor]\nbus_group = "{GROUP[0]}"\n')
        (self.state / "novakit.toml").chmod(0o600)  # as the page tells its operator
        self.tools = directory / "tools"
        for name in ("python", "site", "repository"):
            (self.tools / name).mkdir(parents=True)
        accounts = "".join(f"{name}:x:{number}:{number}::/:/bin/sh\n" for name, number in USERS.items())
        groups = "".join(f"{name}:x:{number}:\n" for name, number in (*USERS.items(), GROUP))
        (self.tools / "passwd").write_text(accounts)
        (self.tools / "group").write_text(groups)
        _give(self.state, "novakit")

    def as_user(self, user: str, argv: Sequence[str | Path]) -> list[str]:
        """Turn a command into one of a user who is a member of the bus's group."""
        number = str(USERS[user])
        who = ["setpriv", "--reuid", number, "--regid", number, "--groups", str(GROUP[1]), "--no-new-privs"]
        places = [self.tools, sys.base_prefix, sysconfig.get_path("purelib"), ROOT]
        enter = ["unshare", "--mount", "--propagation", "private", "sh", "-c", INSIDE, "sh", *map(str, places)]
        return [*enter, *who, *map(str, argv)]

    def run_as(self, user: str, line: str) -> None:
        """Run a command of the page to its end, as a user."""
        words = self.as_user(user, self._words(line))
        done = subprocess.run(
            words, cwd=self.directory, capture_output=True, text=True, timeout=120, env=self._environment()
        )
        assert done.returncode == 0, done

    def spawn(self, role: str, *arguments: str, name: str = "", list_imports: bool = False) -> None:
        name = name or role
        with (self.directory / f"{name}.out").open("w") as printed:
            self.processes[name] = subprocess.Popen(
                self.as_user(self.user_of[role], [*self.command(role), *arguments]),
                cwd=self.directory,
                stdout=printed,
                stderr=subprocess.STDOUT,
                text=True,
                env=self._environment(),
            )
        (self.state / f"{name}.out").unlink(missing_ok=True)
        (self.state / f"{name}.out").symlink_to(self.directory / f"{name}.out")

    def readable(self, user: str, directory: Path) -> set[str]:
        """Name the files below a directory that a user can read, and the directories that he can list."""
        script = (
            'cd / && while IFS= read -r path; do if [ -d "$path" ]; then ls "$path" >/dev/null 2>&1 && echo "$path";'
        )
        script += ' else head -c 1 -- "$path" >/dev/null 2>&1 && echo "$path"; fi; done'
        paths = "".join(f"{path}\n" for path in (directory, *directory.rglob("*")) if not path.is_symlink())
        done = subprocess.run(
            self.as_user(user, ["sh", "-c", script]),
            input=paths,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return {str(Path(line).relative_to(directory)) for line in done.stdout.splitlines()}

    def _environment(self) -> dict[str, str]:
        below = {path.parent.relative_to(ROOT) for path in EVERY}
        packages = [self.tools / "repository" / path for path in sorted(below)]
        places = [str(path) for path in (*packages, self.tools / "site")]
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": ":".join(places),
            "LD_LIBRARY_PATH": str(self.tools / "python" / "lib"),  # where the interpreter's own library is one
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOME": "/",
        }

    def _words(self, line: str) -> list[str]:
        python = self.tools / "python" / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
        return [str(python), *super()._words(line)[1:]]


def _give(directory: Path, user: str) -> None:
    for path in (directory, *directory.rglob("*")):
        os.chown(path, USERS[user], USERS[user], follow_symlinks=False)


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory that everybody gets to, as /var/lib is."""
    directory = Path(tempfile.mkdtemp(prefix="novakit-users-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.mark.parametrize("agent", ["root", "novakit-host"])
async def test_roles_of_separate_users_work_together_and_read_nothing_of_each_other(
    directory: Path, agent: str
) -> None:
    with OfSeparateUsers(directory, agent) as roles:
        roles.start("conductor", "scheduler", "api")
        # Enrolled as the conductor's user, and carried to the host's directory by root.
        (directory / HOST).mkdir(mode=0o700)
        _give(directory / HOST, "novakit")
        (line,) = [line for line in lines() if line.startswith("novakit host enrol")]
        roles.run_as("novakit", line)
        _give(directory / HOST, agent)
        (directory / HOST).chmod(0o711)
        roles.start("agent")
        for role in ("conductor", "scheduler", "api", "agent"):
            status = Path(f"/proc/{roles.processes[role].pid}/status").read_text()
            number = str(USERS[roles.user_of[role]])
            assert re.findall(r"^Uid:\t(\d+)\t(\d+)\t(\d+)\t(\d+)$", status, re.MULTILINE) == [(number,) * 4]
            assert USERS[roles.user_of[role]] == 0 or re.search(r"^CapEff:\t0{16}$", status, re.MULTILINE)
        async with aiohttp.ClientSession() as session:
            admin = await Api.login(roles.service, session, "novakit-admin")
            image = await admin.image(content=b"1" * 512)
            await admin.server("one", image)
            assert [each["status"] for each in await admin.settled()] == ["ACTIVE"]
        secrets = {str(path.relative_to(roles.state)) for path in (roles.state / "keys").iterdir()}
        assert secrets | {"clouds.yaml"} <= roles.readable("novakit", roles.state), "its own user reads them"
        assert roles.readable("novakit-host", roles.state) <= {"bus.sock"}, "of the control plane's"
        assert roles.readable("novakit", directory / HOST) == set(), "of the host's"
        assert any(path.startswith("credentials/") for path in roles.readable(agent, directory / HOST))
        door = (roles.state / "bus.sock").stat()
        assert (door.st_gid, stat.S_IMODE(door.st_mode) & 0o007) == (GROUP[1], 0)
