"""Creates that come together share a transaction, and nothing else."""

import asyncio
from collections import Counter


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
