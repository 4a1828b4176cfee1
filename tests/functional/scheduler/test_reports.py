"""The scheduler's decisions over HTTP: whole for operators, tenant-safe for owners, closed to everybody else."""

from pathlib import Path
from typing import Any

import attrs
import orjson
import pytest
from aiohttp.test_utils import TestClient, TestServer

from novakit import world
from novakit.api.novakit import service
from novakit.bus import MemoryBus, RemoteError, client
from novakit.calls.scheduler import Refusal, SchedulerCalls, Selection
from novakit.config import Config
from novakit.errors import BadRequest
from novakit.scheduler.service import serve
from novakit.store.compute import flavors
from novakit.store.faults import StoreAway
from novakit.store.identity import directory as identity
from novakit_hookspecs.scheduling import Ask
from tests.functional.scheduler.conftest import IMAGE, Desk, additions, authenticate
from tests.support.targets import serve_some


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
    status, listed = await desk.get(f"/v1/decisions?server_id={one.server_id}", "member:other")
    assert (status, listed) == (200, {"decisions": []})


async def test_owners_list_their_own_projects_decisions_alone_and_say_so_themselves_if_they_like(
    desk: Desk, make: Any
) -> None:
    await desk.scheduler.select([make()])
    assert (await desk.get("/v1/decisions?project_id=p", "member:other"))[0] == 403
    status, listed = await desk.get("/v1/decisions?project_id=p", "member:p")
    assert (status, len(listed["decisions"])) == (200, 1)


async def test_nobody_reads_without_a_token(desk: Desk) -> None:
    assert (await desk.get("/v1/decisions", ""))[0] == 401
    assert (await desk.get("/v1/decisions", "guest:p"))[0] == 401


async def test_decisions_are_paged_from_the_latest(desk: Desk, make: Any) -> None:
    for _ in range(5):
        await desk.scheduler.select([make()])
    _, first = await desk.get("/v1/decisions?limit=2")
    _, second = await desk.get(f"/v1/decisions?limit=10&marker={first['decisions'][-1]['number']}")
    assert [len(first["decisions"]), len(second["decisions"])] == [2, 3]


@pytest.mark.parametrize("query", ["limit=-1", "marker=x", "limit=99999999999999999999", "colour=red", "outcome=x"])
async def test_a_wrong_query_is_refused(desk: Desk, query: str) -> None:
    status, body = await desk.get(f"/v1/decisions?{query}")
    assert status == 400 and body["error"]["message"]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({}, "Send a flavor and, if wanted, availability_zone, group, hints, host, image, project_id."),
        ({"flavor": 1}, "Send a flavor and, if wanted, availability_zone, group, hints, host, image, project_id."),
        (
            {"flavor": "m1.tiny", "colour": 1},
            "Send a flavor and, if wanted, availability_zone, group, hints, host, image, project_id.",
        ),
        ({"flavor": "m1.tiny", "image": 5}, "image must be a string."),
        ({"flavor": "m1.tiny", "survive": -1}, "survive must be a number of hosts, 0 to 100000."),
        ({"flavor": "m1.tiny", "survive": "1"}, "survive must be a number of hosts, 0 to 100000."),
        ({"flavor": "m1.tiny", "survive": 200_000}, "survive must be a number of hosts, 0 to 100000."),
        ({"flavor": "m1.tiny", "hints": {"cidr": "24"}}, "Invalid input for field/attribute cidr. Value: 24. "),
    ],
)
async def test_of_a_wrong_question_it_is_told_what_is_wrong(desk: Desk, asked: dict[str, object], told: str) -> None:
    paths = ["/v1/capacity"] if "survive" in asked else ["/v1/capacity", "/v1/explain"]
    for path in paths:
        status, body = await desk.post(path, asked)
        mine = told.replace("project_id.", "project_id, survive.") if path == "/v1/capacity" else told
        assert status == 400 and body["error"]["message"].startswith(mine)


async def test_only_a_question_of_room_says_how_many_hosts_are_lost(desk: Desk) -> None:
    assert (await desk.post("/v1/explain", {"flavor": "m1.tiny", "survive": 1}))[0] == 400
    assert (await desk.post("/v1/capacity", {"flavor": "m1.tiny", "survive": 1}))[0] == 200


async def test_a_dry_run_says_where_a_server_would_go_and_makes_nothing(desk: Desk) -> None:
    status, told = await desk.post("/v1/explain", {"flavor": "m1.tiny"})
    assert status == 200 and len(told["decision"]["weights"]) == 4
    status, told = await desk.post("/v1/explain", {"flavor": "1", "image": IMAGE})
    assert "4 cannot run the image (guests of sparc)" in told["decision"]["message"]
    status, told = await desk.post("/v1/explain", {"flavor": "m1.tiny"}, "member:p")
    assert status == 200 and "weights" not in told["decision"]
    assert sum((await desk.cloud.usage()).values()) == 0


async def test_a_dry_run_gives_its_outcome_and_place_as_a_stored_decision_does_and_owners_the_zone_alone(
    desk: Desk, make: Any
) -> None:
    (one,) = await desk.scheduler.select([make()])
    _, stored = await desk.get(f"/v1/decisions/{one.decision_id}")
    for asked in ({"flavor": "m1.tiny"}, {"flavor": "m1.tiny", "host": "host2"}):
        told = (await desk.post("/v1/explain", asked))[1]["decision"]
        assert {"outcome", "host", "node", "availability_zone", "alternates"} <= set(told) & set(stored["decision"])
        assert (told["outcome"], told["availability_zone"]) == ("placed", "nova")
        assert told["node"] == told["host"].replace("host", "node") and told["host"] not in told["alternates"]
        assert told["host"] == asked.get("host", told["host"])
    own = (await desk.post("/v1/explain", {"flavor": "m1.tiny"}, "member:p"))[1]["decision"]
    assert (own["outcome"], own["availability_zone"]) == ("placed", "nova")
    assert not {"host", "node", "alternates"} & set(own)
    refused = (await desk.post("/v1/explain", {"flavor": "m1.tiny", "host": "nowhere"}))[1]["decision"]
    assert refused["outcome"] == "refused" and "host" not in refused
    refused = (await desk.post("/v1/explain", {"flavor": "m1.tiny", "availability_zone": "no"}, "member:p"))[1]
    assert refused["decision"]["outcome"] == "refused"


async def test_who_is_no_admin_names_neither_a_host_nor_another_project_in_a_dry_run(desk: Desk) -> None:
    for name in ("host", "project_id"):
        assert (await desk.post("/v1/explain", {"flavor": "m1.tiny", name: "host1"}, "member:p"))[0] == 403
    assert (await desk.post("/v1/explain", {"flavor": "m1.tiny", "project_id": "p"}, "member:p"))[0] == 200


async def test_a_dry_run_finds_its_project_by_id_or_by_a_name_that_only_one_has(desk: Desk) -> None:
    async with desk.cloud.store.write() as session:
        for domain in ("d1", "d2"):
            await identity.create(session, identity.domains, {"id": domain, "name": domain, "enabled": True})
        for project, name, domain in (("1", "one", "d1"), ("2", "two", "d1"), ("3", "two", "d2"), ("one", "x", "d2")):
            row = {"id": project, "name": name, "domain_id": domain, "parent_id": domain, "enabled": True}
            await identity.create(session, identity.projects, row)

    async def asked(project: str, token: str = "admin:p") -> tuple[int, Any]:
        status, told = await desk.post("/v1/explain", {"flavor": "m1.tiny", "project_id": project}, token)
        return status, told["decision"]["project_id"] if status == 200 else told["error"]["message"]

    assert await asked("1") == (200, "1")
    assert await asked("one") == (200, "one"), "an id is stronger than a name"
    assert await asked("x") == (200, "one")
    assert await asked("two") == (400, "2 projects are named two; give the id of one: 2, 3.")
    assert await asked("nope") == (404, "Project nope could not be found.")
    assert await asked("x", "member:one") == (200, "one")
    assert (await asked("two", "member:2"))[0] == (await asked("nope", "member:2"))[0] == 403
    assert (await desk.post("/v1/capacity", {"flavor": "m1.tiny", "project_id": "nope"}))[0] == 404


async def test_a_group_that_a_hint_names_is_heeded_by_a_dry_run_as_by_a_server(desk: Desk, make: Any) -> None:
    server = world.new_id()
    group = await desk.cloud.group("anti-affinity", [server])
    await desk.scheduler.select([make(server_id=server, group=group)])
    asked = {"flavor": "m1.tiny", "hints": {"group": group["id"]}}
    told = (await desk.post("/v1/explain", asked, "member:p"))[1]
    assert [one["after"] for one in told["decision"]["filters"] if one["name"] == "group_anti_affinity"] == [3]
    assert (await desk.post("/v1/explain", {**asked, "group": group["id"]}))[0] == 200
    assert (await desk.post("/v1/explain", {**asked, "group": world.new_id()}))[0] == 400
    assert (await desk.post("/v1/explain", asked, "member:other"))[0] == 400


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
        ({"flavor": "m1.tiny", "hints": {"same_host": ["x"]}}, 400),
        ({"flavor": "m1.tiny", "hints": {"different_host": 1}}, 400),
        ({"flavor": "m1.tiny", "hints": {"different_host": [world.new_id() for _ in range(257)]}}, 400),
        ({"flavor": "m1.tiny", "hints": {"group": "x"}}, 400),
        ({"flavor": "m1.tiny", "hints": {"group": [IMAGE]}}, 400),
        ({"flavor": "m1.tiny", "hints": {"build_near_host_ip": "here"}}, 400),
        ({"flavor": "m1.tiny", "hints": {"note": "a\x00b"}}, 400),
        ({"flavor": "m1.tiny", "hints": {"same_host": [IMAGE], "note": "x"}}, 200),
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
    app = service.app(additions(cloud.store, MemoryBus().join("api")), authenticate)
    async with cloud.store.write() as session:
        row = {"id": "1", "name": "m1.tiny", "vcpus": 1, "ram": 1024, "disk": 1, "ephemeral": 0, "swap": 0}
        rest = {"rxtx_factor": 1.0, "is_public": True, "disabled": False, "description": None, "extra_specs": {}}
        await flavors.add(session, {**row, **rest, "created_at": world.now(), "updated_at": None})
    async with TestClient(TestServer(app)) as http:
        answer = await http.post("/v1/explain", data=b'{"flavor": "1"}', headers={"X-Auth-Token": "admin:p"})
        assert answer.status == 503 and answer.headers["Retry-After"] == "2"


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (BadRequest("survive is wrong"), 400, "survive is wrong"),
        (StoreAway("hush"), 503, "the database is away"),
        (ValueError("[SQL: SELECT hush]"), 503, "the database is away"),
    ],
)
async def test_a_scheduler_that_fails_is_no_fault_of_who_asks_and_tells_no_sql(
    cloud: Any, error: Exception, status: int, said: str
) -> None:
    async def trace(limit: int) -> Any:
        raise error

    bus = MemoryBus()
    serve_some(bus.join("scheduler"), SchedulerCalls, trace=trace)
    app = service.app(additions(cloud.store, bus.join("api")), authenticate)
    async with TestClient(TestServer(app)) as http:
        answer = await http.get("/v1/trace", headers={"X-Auth-Token": "admin:p"})
        text = await answer.text()
    assert answer.status == status and said in text and "hush" not in text
    assert (status == 503) == ("Retry-After" in answer.headers)


async def test_servers_are_placed_over_the_bus(cloud: Any, make: Any, tmp_path: Path) -> None:
    await cloud.add_hosts(2)
    bus = MemoryBus()
    stop = serve(cloud.scheduler(), bus.join("scheduler"))
    asked = client(SchedulerCalls, bus.join("conductor"), Config(state=tmp_path))
    ask = Ask(server_id=world.new_id(), project_id="p", user_id="u", memory_mb=1024, root_gb=1)
    good, bad = await asked.select((ask, attrs.evolve(ask, server_id=world.new_id(), memory_mb=999999)))
    assert isinstance(good, Selection) and good.host in ("host0", "host1") and good.availability_zone == "nova"
    assert isinstance(bad, Refusal) and bad.message.startswith("No valid host was found.")
    (again,) = await asked.select((ask,))
    assert isinstance(again, Selection) and again.host == good.host, "asked again, the same claim answers"
    for wrong in ({"memory_mb": -1}, {"server_id": ""}):
        with pytest.raises(RemoteError) as refused:
            await asked.select((attrs.evolve(ask, **wrong),))
        assert refused.value.kind == "BadRequest"
    with pytest.raises(RemoteError, match="1 to 1000 servers, not 0"):
        await asked.select(())
    stop()


async def test_what_filters_remove_is_counted_for_requests_and_not_for_what_would_be(desk: Desk, make: Any) -> None:
    def removed() -> int:
        return int(desk.scheduler.measures().filters["availability_zone"].removed)

    asked = {"flavor": "m1.tiny", "availability_zone": "nowhere"}
    for path in ("/v1/explain", "/v1/capacity"):
        assert (await desk.post(path, asked))[0] == 200
    assert removed() == 0
    await desk.scheduler.select([make(availability_zone="nowhere")])
    assert removed() > 0
