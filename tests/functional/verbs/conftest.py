"""A service with three simulated hosts."""

import pytest

from tests.support.service import Service


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with Service(tmp_path_factory.mktemp("verbs") / "state", "--simulate", "3") as running:
        yield running
