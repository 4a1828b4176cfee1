"""What operators change holds for the next decision, and what they name is looked up as it is then."""

from typing import Any

import pytest

from novakit import errors
from novakit.compute.hosts import Hosts


@pytest.mark.parametrize(("name", "node"), [("host1", None), (None, "node1"), ("host1", "node1")])
async def test_a_host_is_known_from_its_first_report_on(cloud: Any, name: str | None, node: str | None) -> None:
    hosts = Hosts(cloud.store)
    with pytest.raises(errors.BadRequest, match=r"^Compute host .*1 could not be found\.$"):
        await hosts.require(name, node)
    await cloud.add_hosts(2)
    await hosts.require(name, node)
    with pytest.raises(errors.BadRequest, match=r"^Compute host host1 with the hypervisor node0 could not be found\.$"):
        await hosts.require("host1", "node0")
