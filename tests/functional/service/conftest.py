"""The service that modules share which need no other: three hosts, of which the first fails every build."""

from collections.abc import Iterator

import pytest

from tests.support.service import Service

OPTIONS = """
[agent]
host = "sim"

[drivers.simulated]
fail_hosts = ["sim-1"]

[scheduler]
max_attempts = 2
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    state = tmp_path_factory.mktemp("service") / "state"
    state.mkdir()
    (state / "novakit.toml").write_text(OPTIONS)
    with Service(state, "--simulate", "3") as running:
        yield running
