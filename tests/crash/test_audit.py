"""`novakit audit` as an operator runs it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.crash.cloud import Cloud

STRANGER = "6f1b0f3e-0000-4000-8000-000000000001"


def _audit(state: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "novakit", "audit", "--state", str(state), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.slow
async def test_a_guest_that_nobody_owns_is_named_with_what_to_do(tmp_path: Path) -> None:
    async with Cloud(tmp_path / "state", '[agent]\nhost = "sim"\n', hosts=1) as cloud:
        await cloud.create("good")
        (server,) = await cloud.settled()
        clean = _audit(cloud.service.state)
        assert (clean.returncode, clean.stderr) == (0, "") and "nothing is orphaned" in clean.stdout

        cloud.service.kill()
        journal = cloud.service.state / "agents" / "sim" / "virt" / "guests.journal"
        records = dict(json.loads(line) for line in journal.read_text().splitlines())
        with journal.open("a") as file:
            file.write(json.dumps([STRANGER, records[server["id"]]]) + "\n")
        cloud.start()
        odd = _audit(cloud.service.state, "--format", "json")
        assert odd.returncode == 1, odd.stderr
        found = json.loads(odd.stdout)
        assert {(each["kind"], each["host"], each["owner"]) for each in found["orphaned"]} == {
            ("guest", "sim", STRANGER),
        }, "once, without the disk and the domain that it has"
        assert f"novakit guest remove {STRANGER}" in found["orphaned"][0]["remedy"]
        table = _audit(cloud.service.state)
        assert table.returncode == 1 and STRANGER in table.stdout and "what to do" in table.stdout

        refused = _audit(cloud.service.state, "--cloud", "novakit")
        assert refused.returncode == 2 and "403" in refused.stderr
