"""Choosing a host, and what is then known of the server while its guest is built."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

import orjson

from novakit.calls.scheduler import Earlier, Selection
from novakit.compute import guest_metadata
from novakit.conductor.parts import Parts
from novakit.conductor.steps import building
from novakit.conductor.work import Work
from novakit_hookspecs.scheduling import Ask

READ = {
    "id": "s", "project_id": "p", "user_id": "u", "name": "web", "hostname": "web", "launch_index": 0,
    "availability_zone": None, "host": None, "node": None, "metadata": {}, "key_name": None, "user_data": None,
    "image_id": None, "image_properties": {}, "scheduler_hints": {}, "config_drive": True,
    "flavor": {"name": "m1.tiny", "vcpus": 1, "ram": 512, "disk": 1},
}  # fmt: skip


class Servers:
    """Reads a server that is on no host yet."""

    async def read(self, server_id: str) -> Mapping[str, object]:
        return {**READ, "id": server_id}


class Scheduler:
    """Chooses one host after another."""

    def __init__(self, *chosen: tuple[str, str]):
        self.chosen = list(chosen)

    async def select(self, asks: Sequence[Ask], earlier: Mapping[str, Earlier]) -> list[Selection]:
        host, zone = self.chosen.pop(0)
        told = {"server_id": asks[0].server_id, "provider_id": f"provider of {host}", "decision_id": "d"}
        return [Selection(host=host, node=f"{host}.example", availability_zone=zone, **told)]


async def test_what_is_told_of_a_server_while_it_is_built_names_the_host_that_was_chosen_last() -> None:
    scheduler = Scheduler(("h1", "east"), ("h2", "west"))
    parts = cast(Parts, SimpleNamespace(servers=Servers(), scheduler=scheduler))
    work: Work[Any] = Work(
        id="o", kind="create", moves=(), server_id="s", project_id="p", user_id="u", request_id="r", attempt=1,
        memory=building.Building(), events=[],
    )  # fmt: skip
    for host, zone in (("h1", "east"), ("h2", "west")):
        placed = await building.find_host(work, parts)
        assert placed == {"host": host, "node": f"{host}.example", "availability_zone": zone}
        server = await building.server_of(work, parts)
        assert (server["host"], server["node"], server["availability_zone"]) == (host, f"{host}.example", zone)
        drive = guest_metadata.config_drive(server, [])
        assert orjson.loads(drive["openstack/latest/meta_data.json"])["availability_zone"] == zone
