"""Creates that come together share a transaction, and nothing else."""

import asyncio
from collections import Counter

import pytest

from novakit.context import RequestContext


def body(image_id, flavor_id, **more):
    hints = {"os:scheduler_hints": more.pop("hints")} if "hints" in more else {}
    return {"server": {"name": "web", "imageRef": image_id, "flavorRef": flavor_id, **more}, **hints}


async def test_creates_at_once_never_pass_the_quota(api, projects, image_id, flavor_id):
    await api("PUT", "/v2.1/os-quota-sets/project-a", {"quota_set": {"instances": 5}}, as_="admin")
    asked = body(image_id, flavor_id)
    answers = await asyncio.gather(*(api("POST", "/v2.1/servers", asked) for _ in range(12)))
    assert Counter(answer.status for answer in answers) == {202: 5, 403: 7}
    listed = (await api("GET", "/v2.1/servers")).body["servers"]
    assert {server["id"] for server in listed} == {
        answer.body["server"]["id"] for answer in answers if answer.status == 202
    }


async def test_nobody_makes_a_server_of_an_image_or_a_flavor_that_is_private_to_others(
    api, compute, projects, image_id, flavor_id, tmp_path
):
    (tmp_path / "theirs").write_bytes(bytes(65536))
    bob = RequestContext(request_id="r", user_id="bob", project_id="project-b", roles=frozenset(("member", "reader")))
    theirs = (await compute.images.ingest(bob, name="theirs", path=tmp_path / "theirs", disk_format="raw")).id
    await compute.flavors.create(flavor_id="theirs", name="theirs", vcpus=1, ram=64, disk=1, is_public=False)
    await compute.flavors.grant("theirs", "project-b")
    absent = "5d54ef6b-0000-4000-8000-000000000000"
    for image, flavor in ((theirs, flavor_id), (image_id, "theirs")):
        assert (await api("POST", "/v2.1/servers", body(image, flavor), as_="bob")).status == 202
        refused = await api("POST", "/v2.1/servers", body(image, flavor))
        asked = body(absent if image == theirs else image, absent if flavor == "theirs" else flavor)
        nothing = await api("POST", "/v2.1/servers", asked)
        assert refused.status == nothing.status == 400
        said, told = (each.body["badRequest"]["message"] for each in (refused, nothing))
        assert said == told.replace(absent, theirs if image == theirs else "theirs"), "nobody learns that it exists"
    assert (await api("GET", "/v2.1/servers")).body["servers"] == []


async def test_a_request_for_several_takes_what_is_left_and_at_least_its_minimum(api, projects, image_id, flavor_id):
    await api("PUT", "/v2.1/os-quota-sets/project-a", {"quota_set": {"instances": 7}}, as_="admin")
    asked = body(image_id, flavor_id, min_count=2, max_count=4)
    answers = await asyncio.gather(*(api("POST", "/v2.1/servers", asked) for _ in range(3)))
    assert Counter(answer.status for answer in answers) == {202: 2, 403: 1}
    assert len((await api("GET", "/v2.1/servers")).body["servers"]) == 7


async def test_a_request_that_is_refused_costs_the_others_nothing(api, projects, image_id, flavor_id):
    unknown = {"group": "5d54ef6b-0000-4000-8000-000000000000"}
    bodies = [body(image_id, flavor_id, **({"hints": unknown} if number == 1 else {})) for number in range(4)]
    answers = await asyncio.gather(*(api("POST", "/v2.1/servers", each) for each in bodies))
    assert [answer.status for answer in answers] == [202, 400, 202, 202]
    assert len((await api("GET", "/v2.1/servers")).body["servers"]) == 3


@pytest.mark.parametrize(("limit", "made"), [(3, 3), (-1, 1000)])
async def test_a_request_for_a_billion_is_cut_to_the_quota_and_to_a_thousand_before_it_costs_anything(
    api, projects, image_id, flavor_id, limit, made
):
    unlimited = {"instances": limit, "cores": -1, "ram": -1}
    await api("PUT", "/v2.1/os-quota-sets/project-a", {"quota_set": unlimited}, as_="admin")
    asked = body(image_id, flavor_id, min_count=1, max_count=1_000_000_000)
    answer = await api("POST", "/v2.1/servers", asked)
    assert answer.status == 202
    counted = (await api("GET", "/v2.1/limits")).body["limits"]["absolute"]["totalInstancesUsed"]
    assert counted == made


async def test_a_request_for_no_less_than_a_billion_is_refused_by_the_quota_or_else_as_too_many(
    api, projects, image_id, flavor_id
):
    asked = body(image_id, flavor_id, min_count=1_000_000_000, max_count=1_000_000_000)
    assert (await api("POST", "/v2.1/servers", asked)).status == 403
    unlimited = {"instances": -1, "cores": -1, "ram": -1}
    await api("PUT", "/v2.1/os-quota-sets/project-a", {"quota_set": unlimited}, as_="admin")
    refused = await api("POST", "/v2.1/servers", asked)
    assert (refused.status, refused.body["badRequest"]["message"]) == (
        400,
        "One request makes at most 1000 servers; ask several times for more.",
    )
    assert (await api("GET", "/v2.1/servers")).body["servers"] == []


async def test_a_request_that_the_quota_cuts_to_one_names_its_server_as_asked(api, projects, image_id, flavor_id):
    await api("PUT", "/v2.1/os-quota-sets/project-a", {"quota_set": {"instances": 1}}, as_="admin")
    assert (await api("POST", "/v2.1/servers", body(image_id, flavor_id, max_count=5))).status == 202
    assert [one["name"] for one in (await api("GET", "/v2.1/servers")).body["servers"]] == ["web"]


async def test_a_request_for_several_members_of_a_group_takes_what_its_quota_leaves(api, projects, image_id, flavor_id):
    new = {"server_group": {"name": "g", "policy": "anti-affinity"}}
    group = (await api("POST", "/v2.1/os-server-groups", new, version="2.64")).body["server_group"]["id"]
    await api("PUT", "/v2.1/os-quota-sets/project-a", {"quota_set": {"server_group_members": 3}}, as_="admin")
    asked = body(image_id, flavor_id, min_count=2, max_count=10**9, hints={"group": group})
    statuses = [(await api("POST", "/v2.1/servers", asked)).status for _ in range(2)]
    assert statuses == [202, 403]
    assert len((await api("GET", "/v2.1/servers")).body["servers"]) == 3
