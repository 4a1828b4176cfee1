"""A disk that gets full in the middle of a build: whatever the driver says then, it is the disk that is told of."""

import errno
import os
from pathlib import Path
from typing import Any

import attrs
import pytest

from novakit.store import Store, operations
from novakit_hookspecs.errors import Refused
from novakit_hookspecs.servers import Guest, GuestPlan
from tests.functional.guests.cloud import Cloud
from tests.functional.guests.test_older_at_boundaries import Site, _serve_scheduler

SAID = f"qemu-img could not make disk: qemu-img: error while writing: {os.strerror(errno.ENOSPC)}"


def by_a_program() -> Exception:
    return Refused(SAID)


def by_itself() -> Exception:
    error = RuntimeError("the disk could not be made")
    error.__cause__ = OSError(errno.EDQUOT, "no more for this user")
    return error


@attrs.define
class FillsUp:
    """A driver whose disk gets full in the middle of the first builds."""

    driver: Any
    error: Exception
    left: list[str]
    """A name for each build that is still to fail, on any host; the host's takes its place."""
    host: str

    def __getattr__(self, name: str) -> Any:
        return getattr(self.driver, name)

    async def create(self, guest: GuestPlan) -> Guest:
        if "" in self.left:
            self.left[self.left.index("")] = self.host
            raise self.error
        made: Guest = await self.driver.create(guest)
        return made


@pytest.mark.parametrize("error", [by_a_program(), by_itself()], ids=["program", "itself"])
async def test_a_build_goes_elsewhere_and_the_last_fault_says_that_the_disks_are_full(
    store: Store, tmp_path: Path, error: Exception
) -> None:
    async with Cloud.on(store, tmp_path, ("a", "b")) as cloud:
        failing = [""]
        for name, agent in cloud.agents.items():
            agent.driver = FillsUp(agent.driver, error, failing, name)
        await cloud.begin()
        await _serve_scheduler(cloud)
        site = Site(cloud)
        id = await site.create()
        await site.work()
        row = await site.row(id)
        assert row["vm_state"] == "active" and {row["host"], *failing} == {"a", "b"}
        async with store.read() as session:
            (operation,) = await operations.of_server(session, id)
        (told,) = [each["details"] for each in operation["events"] if each["result"] == "Error"]
        assert told.startswith(f"A disk of the host {failing[0]} is full: ") and "Make room there" in told
        assert str(tmp_path / "agents" / failing[0]) in told
        failing[:] = ["", ""]
        lost = await site.create()
        await site.work()
        fault = (await site.row(lost))["fault"]
        assert fault["message"].endswith("could not be built on 2 hosts: the disks of 2 of them are full.")
        assert str(tmp_path) not in fault["message"] and f"A disk of the host {failing[0]} is full" in fault["details"]
