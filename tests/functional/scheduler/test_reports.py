"""The scheduler's decisions over HTTP: whole for operators, tenant-safe for owners, closed to everybody else."""

from typing import Any

import orjson
import pytest
from aiohttp.test_utils import TestClient, TestServer

from novakit import world
from novakit.api.novakit import service
from novakit.bus import MemoryBus
from novakit.scheduler.reports import Reports
from novakit.scheduler.service import serve
from novakit.store import flavors
from tests.functional.scheduler.conftest import IMAGE, Desk, OneImage, authenticate


async def test_an_operator_reads_the_whole_and_an_owner_nothing_of_hosts(desk: Desk, make: Any) -> None:
    (one,) = await desk.scheduler.select([make()])
    status, whole = await desk.get(f"/v1/decisions?server_id={one.server_id}")
    assert status == 200
    assert whole["decisions"][0]["host"] == one.host
    status, own = await desk.get(f"/v1/decisions/{one.decision_id}", "member:p")
    assert (status, own["decision"]["outcome"], own["decision"]["hosts"]) == (200, "placed", 4)
    assert "host1" not in orjson.dumps(own).decode() and one.host not in orjson.dumps(own).decode()


async def test_a_foreign_decision_does_not_exist(desk: Desk, make: Any) -> None:
    (one,) = await desk.scheduler.select([make()])
    foreign = await desk.get(f"/v1/decisions/{one.decision_id}", "member:other")
    absent = await desk.get(f"/v1/decisions/{world.new_id()}", "member:other")
    assert foreign[0] == absent[0] == 404
    status, listed = await desk.get(f"/v1/decisions?project_id=p&server_id={one.server_id}", "member:other")
    assert (status, listed) == (200, {"decisions": []})


async def test_nobody_reads_without_a_token(desk: Desk) -> None:
    assert (await desk.get("/v1/decisions", ""))[0] == 401
    assert (await desk.get("/v1/decisions", "guest:p"))[0] == 401


async def test_decisions_are_paged_from_the_latest(desk: Desk, make: Any) -> None:
    for _ in range(5):
        await desk.scheduler.select([make()])
    _, first = await desk.get("/v1/decisions?limit=2")
    _, second = await desk.get(f"/v1/decisions?limit=10&marker={first['decisions'][-1]['number']}")
    assert [len(first["decisions"]), len(second["decisions"])] == [2, 3]


@pytest.mark.parametrize("query", ["limit=-1", "marker=x", "limit=99999999999999999999", "colour=red"])
async def test_a_wrong_query_is_refused(desk: Desk, query: str) -> None:
    status, body = await desk.get(f"/v1/decisions?{query}")
    assert status == 400 and body["error"]["message"]


async def test_a_dry_run_says_where_a_server_would_go_and_makes_nothing(desk: Desk) -> None:
    status, told = await desk.post("/v1/explain", {"flavor": "m1.tiny"})
    assert status == 200 and len(told["decision"]["weights"]) == 4
    status, told = await desk.post("/v1/explain", {"flavor": "1", "image": IMAGE})
    assert "4 cannot run the image (guests of sparc)" in told["decision"]["message"]
    status, told = await desk.post("/v1/explain", {"flavor": "m1.tiny"}, "member:p")
    assert status == 200 and "weights" not in told["decision"]
    assert sum((await desk.cloud.usage()).values()) == 0


async def test_nobody_learns_by_a_dry_run_where_a_foreign_group_stands(desk: Desk, make: Any) -> None:
    server = world.new_id()
    group = await desk.cloud.group("anti-affinity", [server])
    await desk.scheduler.select([make(server_id=server, group=group)])
    asked = {"flavor": "m1.tiny", "group": group["id"]}
    status, told = await desk.post("/v1/explain", asked, "member:p")
    assert status == 200
    assert [one["after"] for one in told["decision"]["filters"] if one["name"] == "group_anti_affinity"] == [3]
    foreign, absent = (
        await desk.post("/v1/explain", asked, "member:other"),
        await desk.post("/v1/explain", {**asked, "group": world.new_id()}, "member:other"),
    )
    assert foreign[0] == absent[0] == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"flavor": "none"}, 404),
        ({"flavor": "m1.tiny", "image": "none"}, 404),
        ({}, 400),
        ({"flavor": 7}, 400),
        ({"flavor": "m1.tiny", "hints": []}, 400),
        ({"flavor": "m1.tiny", "zone": "a"}, 400),
        ({"flavor": "m1.tiny", "hints": {"same_host": ["x"] * 1}}, 200),
        ([], 400),
    ],
)
async def test_what_cannot_be_explained_is_refused(desk: Desk, body: Any, status: int) -> None:
    assert (await desk.post("/v1/explain", body))[0] == status


async def test_capacity_counts_what_fits_and_what_a_loss_costs(desk: Desk, make: Any) -> None:
    await desk.scheduler.select([make(host="host2") for _ in range(3)])
    status, told = await desk.post("/v1/capacity", {"flavor": "m1.tiny", "survive": 1})
    assert (status, told["capacity"]["fits"]) == (200, 13)
    assert told["capacity"]["runs_out_first"] == {"MEMORY_MB": 4}
    after = told["capacity"]["survive"]
    assert (after["lost"], after["moved"], after["homeless"], after["fits"]) == (["host2"], 3, 0, 9)
    assert (await desk.post("/v1/capacity", {"flavor": "m1.tiny"}, "member:p"))[0] == 403
    assert (await desk.post("/v1/capacity", {"flavor": "m1.tiny", "survive": -1}))[0] == 400


async def test_a_cloud_without_a_scheduler_says_so(cloud: Any) -> None:
    app = service.app(Reports(cloud.store, MemoryBus().join("api"), OneImage()), authenticate)
    async with cloud.store.write() as session:
        row = {"id": "1", "name": "m1.tiny", "vcpus": 1, "ram": 1024, "disk": 1, "ephemeral": 0, "swap": 0}
        rest = {"rxtx_factor": 1.0, "is_public": True, "disabled": False, "description": None, "extra_specs": {}}
        await flavors.add(session, {**row, **rest, "created_at": world.now(), "updated_at": None})
    async with TestClient(TestServer(app)) as http:
        answer = await http.post("/v1/explain", data=b'{"flavor": "1"}', headers={"X-Auth-Token": "admin:p"})
        assert answer.status == 503


async def test_the_bus_takes_and_gives_plain_data(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(2)
    bus = MemoryBus()
    stop = serve(cloud.scheduler(), bus.join("scheduler"))
    caller = bus.join("conductor")
    ask = {"server_id": world.new_id(), "project_id": "p", "user_id": "u", "memory_mb": 1024, "root_gb": 1}
    huge = {**ask, "server_id": world.new_id(), "memory_mb": 999999}
    answer = await caller.call("scheduler", "select", {"asks": [ask, huge]})
    good, bad = answer["results"]
    assert good["host"] in ("host0", "host1") and good["availability_zone"] == "nova" and good["node"]
    assert bad["refused"]["message"].startswith("No valid host was found.")
    told = await caller.call("scheduler", "explain", {"server_id": ask["server_id"]})
    assert told["decisions"][0]["outcome"] == "placed"
    stop()
