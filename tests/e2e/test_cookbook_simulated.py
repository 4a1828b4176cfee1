"""The first tutorial with the real command line client on a simulated host, without root."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.openstack_client import openstack_command
from tests.support.service import Service

sys.path.insert(0, str(Path(__file__).parent))
from tutorial import INSTALLED, Reader, sections

pytestmark = pytest.mark.slow
RUN_BY_HAND = {"Start the cloud"}


@pytest.fixture
def reader(micro: Any, tmp_path: Path) -> Iterator[Reader]:
    micro.seed(tmp_path / "state")
    # That the command works as pip installs it is seen where guests are real.
    path = f"{Path(openstack_command()).parent}:{INSTALLED['PATH']}"
    with Service(tmp_path / "state") as service:
        yield Reader(directory=tmp_path, guests=False, environment={**INSTALLED, "PATH": path})
        assert service.stop() == 0


def test_every_command_of_the_tutorial_works_and_leaves_nothing(reader: Reader) -> None:
    titles = [title for title in sections() if title not in RUN_BY_HAND]
    printed = reader.follow(*titles[:-1])
    assert "nebula_web_01" in printed
    assert "placed on" in printed
    state = reader.directory / "state"
    assert (reader.directory / "nebula_key.pem").stat().st_mode & 0o777 == 0o600
    assert (state / "clouds.yaml").stat().st_mode & 0o777 == 0o600
    assert titles[-1] == "Clean up"
    assert "nothing is orphaned" in reader.follow(titles[-1])
    counted = json.loads(reader.type("novakit audit --format json"))["counted"]
    assert counted == dict.fromkeys(counted, 0)
    assert {"servers", "allocations", "ports", "guests"} <= counted.keys()


def test_the_tutorial_runs_what_it_shows() -> None:
    found = sections()
    assert {marker for blocks in found.values() for marker, _ in blocks} == {"", "guest", "once"}
    assert sum(len(blocks) for blocks in found.values()) > 12
