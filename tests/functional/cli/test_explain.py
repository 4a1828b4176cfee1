"""`novakit explain` as a command: by server, by name, by decision, and as a dry run, with a filter that is broken."""

import asyncio
import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import attrs
import pytest

from tests.support.service import Api, Service

FAULTY = Path(__file__).parents[2] / "data" / "plugins" / "faulty"
FAULT = "faulty of novakit-faulty failed: KeyError: 'm1.small'"


@attrs.frozen
class Desk:
    """A service with one server that was placed, one that was refused, and two of one name."""

    service: Service
    placed: str
    refused: str
    fault: str
    """What the refused server's owner reads."""

    def explain(self, *words: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "novakit", "explain", "--state", str(self.service.state), *words]
        return subprocess.run(command, text=True, capture_output=True, timeout=60, check=False)

    def records(self, *words: str) -> tuple[int, Any]:
        done = self.explain("--format", "json", *words)
        return done.returncode, json.loads(done.stdout)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    state = tmp_path_factory.mktemp("explain") / "state"
    path = os.pathsep.join(filter(None, (str(FAULTY), os.environ.get("PYTHONPATH"))))
    with Service(state, environment={"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}) as service:

        async def fill() -> Desk:
            async with aiohttp.ClientSession() as session:
                api = await Api.login(service, session)
                image = await api.image()
                placed, refused = await api.server("good", image), await api.server("bad", image, flavor="2")
                for _ in range(2):
                    await api.reach(await api.server("twin", image), "ACTIVE")
                await api.reach(placed, "ACTIVE")
                fault = (await api.reach(refused, "ERROR"))["fault"]["message"]
                return Desk(service, placed, refused, fault)

        yield asyncio.run(fill())


def test_a_server_is_found_by_its_id_and_by_its_name(desk: Desk) -> None:
    by_id, by_name = desk.records(desk.placed), desk.records("good")
    assert by_id == by_name
    assert by_id[0] == 0 and by_id[1][0]["server_id"] == desk.placed


def test_the_decision_that_a_fault_names_is_found_by_its_id(desk: Desk) -> None:
    match = re.search(r"The operator finds it as decision (\S+)\.", desk.fault)
    assert match, desk.fault
    code, [decision] = desk.records(match[1])
    assert (code, decision["server_id"], decision["failed"]) == (1, desk.refused, FAULT)


@pytest.mark.parametrize(
    ("name", "words"),
    [("twin", "2 servers are named twin; give the id of one"), ("none", "No server is named none"), ("", "is empty")],
)
def test_a_name_that_means_no_single_server_is_one_sentence(desk: Desk, name: str, words: str) -> None:
    done = desk.explain(name)
    assert done.returncode == 2
    assert words in done.stderr and len(done.stderr.strip().splitlines()) == 1


def test_an_id_that_nobody_has_says_so(desk: Desk) -> None:
    done = desk.explain("6f5b1a52-1d77-4c2c-9d8e-6f6f0a2d7f10")
    assert done.returncode == 1 and "There is no decision about 6f5b1a52" in done.stderr


def test_a_dry_run_that_fails_says_the_fault_itself_to_admins_and_no_decision_to_anybody(desk: Desk) -> None:
    code, [record] = desk.records("--flavor", "m1.small")
    assert (code, record["message"]) == (1, f"The scheduler could not decide: {FAULT}.")
    done = desk.explain("--flavor", "m1.small", "--cloud", "novakit")
    assert "one of its checks is broken" in done.stdout
    assert "decision" not in done.stdout and "KeyError" not in done.stdout


def test_each_different_fault_is_in_the_log_with_its_traceback(desk: Desk) -> None:
    for flavor in ("m1.medium", "m1.large", "m1.large"):
        assert desk.records("--flavor", flavor)[0] == 1
    lines = [json.loads(line) for line in (desk.service.state / "novakit.log").read_text().splitlines()]
    faults = [line for line in lines if line["event"] == "scheduler plugin failed"]
    for flavor in ("m1.medium", "m1.large"):
        [fault] = [one for one in faults if one["why"] == f"KeyError: '{flavor}'"]
        assert "novakit_faulty.py" in json.dumps(fault)


def test_an_owner_reads_where_a_server_stands_without_any_host(desk: Desk) -> None:
    host = desk.records(desk.placed)[1][0]["host"]
    told = desk.explain(desk.placed, "--cloud", "novakit").stdout
    assert re.search(r"placed in zone nova; (\d+) of \1 hosts fit, administrators see which it was", told), told
    assert host not in told


def test_a_dry_run_heeds_the_hints_it_is_given(desk: Desk) -> None:
    """Hints name servers of the project alone, so an administrator says whose dry run it is."""
    project = ("--project", desk.records(desk.placed)[1][0]["project_id"])
    code, [record] = desk.records("--flavor", "m1.tiny", *project, "--hint", f"same_host={desk.placed}")
    hosts = record["hosts"]
    assert (code, record["filters"][-1]["after"]) == (0, 1)
    assert record["asked"]["hints"] == {"same_host": desk.placed}
    both = ("--hint", f"different_host={desk.placed}", "--hint", "different_host=6f5b1a52-1d77-4c2c-9d8e-6f6f0a2d7f10")
    _, [record] = desk.records("--flavor", "m1.tiny", *project, *both)
    assert [stage["after"] for stage in record["filters"] if stage["name"] == "different_host"] == [hosts - 1]
    done = desk.explain("--flavor", "m1.tiny", "--hint", "same_host")
    assert done.returncode == 2 and "write KEY=VALUE" in done.stderr
    done = desk.explain(desk.placed, "--hint", "a=b")
    assert done.returncode == 2 and "--hint is for a dry run" in done.stderr


def test_a_dry_run_says_where_a_server_would_go_to_admins_and_in_which_zone_to_owners(desk: Desk) -> None:
    code, [record] = desk.records("--flavor", "m1.tiny", "--project", "demo")
    assert (code, record["outcome"], record["availability_zone"]) == (0, "placed", "nova")
    assert record["project_id"] == desk.records(desk.placed)[1][0]["project_id"]
    assert f"it would go to {record['host']}" in desk.explain("--flavor", "m1.tiny").stdout
    told = desk.explain("--flavor", "m1.tiny", "--cloud", "novakit").stdout
    assert "it would be placed in zone nova; 1 of 1 hosts fit, administrators see which it would be" in told
    assert record["host"] not in told


def test_a_project_that_is_not_there_and_a_host_named_by_an_owner_are_refused_in_a_dry_run(desk: Desk) -> None:
    done = desk.explain("--flavor", "m1.tiny", "--project", "nope")
    assert done.returncode == 2 and "Project nope could not be found." in done.stderr
    done = desk.explain("--flavor", "m1.tiny", "--host", "anywhere", "--cloud", "novakit")
    assert done.returncode == 2 and "novakit:explain:host" in done.stderr


def test_the_healthcheck_names_a_filter_for_which_requests_fail_until_it_works_again(desk: Desk) -> None:
    def health() -> Any:
        try:
            with urllib.request.urlopen(f"{desk.service.url}/healthcheck") as answer:
                return answer.status, json.load(answer)["degraded"]
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)["degraded"]

    assert desk.records("--flavor", "m1.small")[0] == 1
    assert health() == (503, {"filter faulty": FAULT})
    assert desk.records("--flavor", "m1.tiny")[0] == 0
    assert health() == (200, {})
