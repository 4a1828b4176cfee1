"""Candidates, over HTTP."""

import asyncio
import uuid

import pytest

from tests.functional.placement.resources import A, B, C, allocation, make, store  # noqa: F401


async def test_candidates_name_groups_mappings_and_whole_trees(http):
    await make(http, "host", id=A, inventory={"MEMORY_MB": 100}, traits=["HW_CPU_X86_AVX2"])
    await make(http, "card", id=B, parent=A, inventory={"VGPU": 2})
    path = "/allocation_candidates?resources=MEMORY_MB:10&required=HW_CPU_X86_AVX2&resources_GPU=VGPU:1&limit=5"
    assert (await http("GET", path)).body == {
        "allocation_requests": [
            {
                "allocations": {A: {"resources": {"MEMORY_MB": 10}}, B: {"resources": {"VGPU": 1}}},
                "mappings": {"": [A], "_GPU": [B]},
            }
        ],
        "provider_summaries": {
            A: {
                "resources": {"MEMORY_MB": {"capacity": 100, "used": 0}},
                "traits": ["HW_CPU_X86_AVX2"],
                "parent_provider_uuid": None,
                "root_provider_uuid": A,
            },
            B: {
                "resources": {"VGPU": {"capacity": 2, "used": 0}},
                "traits": [],
                "parent_provider_uuid": A,
                "root_provider_uuid": A,
            },
        },
    }


async def test_candidates_follow_every_change_at_once(http):
    path = "/allocation_candidates?resources=VCPU:4"

    async def found():
        return [next(iter(one["allocations"])) for one in (await http("GET", path)).body["allocation_requests"]]

    assert await found() == []
    await make(http, "a", id=A, inventory={"VCPU": 4})
    assert await found() == [A]
    await http("PUT", f"/allocations/{C}", allocation({A: {"VCPU": 1}}))
    assert await found() == []
    await http("DELETE", f"/allocations/{C}")
    assert await found() == [A]
    await make(http, "b", id=B, inventory={"VCPU": 4})
    assert await found() == [A, B]
    await http("DELETE", f"/resource_providers/{A}")
    assert await found() == [B]


async def test_one_heavy_request_does_not_hold_the_others(http):
    for n in range(12):
        await make(http, f"card{n}", parent=A if n else None, id=None if n else A, inventory={"VGPU": 12})
    heavy = "&".join(f"resources{n}=VGPU:1" for n in range(1, 9))
    running = asyncio.create_task(http("GET", f"/allocation_candidates?{heavy}&group_policy=none&limit=90000"))
    answered = 0
    while not running.done():
        assert (await http("GET", "/", token=None)).status == 200
        answered += 1
    assert running.result().status == 200
    assert answered > 3


@pytest.mark.parametrize(("limit", "shown", "cut"), [("", 3, "3"), ("&limit=9", 3, "3"), ("&limit=2", 2, None)])
async def test_an_answer_that_is_cut_says_so(http, limit, shown, cut):
    for number in range(4):
        provider = str(uuid.UUID(int=number + 1))
        await http("POST", "/resource_providers", {"name": f"h{number}", "uuid": provider})
        body = {"resource_provider_generation": 0, "inventories": {"VCPU": {"total": 8}}}
        await http("PUT", f"/resource_providers/{provider}/inventories", body)
    whole = await http("GET", "/allocation_candidates?resources=VCPU:1")
    assert len(whole.body["allocation_requests"]) == 4 and "Novakit-Candidates-Cut" not in whole.headers
    http.placement.max_candidates = 3
    answer = await http("GET", f"/allocation_candidates?resources=VCPU:1{limit}")
    assert len(answer.body["allocation_requests"]) == len(answer.body["provider_summaries"]) == shown
    assert answer.headers.get("Novakit-Candidates-Cut") == cut
    http.placement.max_candidates = 4
    assert "Novakit-Candidates-Cut" not in (await http("GET", "/allocation_candidates?resources=VCPU:1")).headers


async def test_as_many_groups_as_a_request_can_name_are_answered_and_their_candidates_cut_by_size(http):
    await make(http, "host", id=A, inventory={"VGPU": 500})
    names = [f"{one}{other}" for one in "abcdefghijklmnop" for other in "abcdefghijklmnopqrstuvwxyz"][:400]
    asked = "&".join(f"resources{name}=VGPU:1" for name in names)
    answer = await http("GET", f"/allocation_candidates?{asked}&group_policy=none")
    assert answer.status == 200
    assert answer.body["allocation_requests"] == [
        {"allocations": {A: {"resources": {"VGPU": 400}}}, "mappings": {name: [A] for name in names}}
    ]
    await make(http, "other", id=B, parent=A, inventory={"VGPU": 500})
    http.placement.max_candidates = 100
    answer = await http("GET", f"/allocation_candidates?{asked}&group_policy=none")
    assert answer.status == 200
    assert len(answer.body["allocation_requests"]) == int(answer.headers["Novakit-Candidates-Cut"]) == 4


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("resources=VCPU:0", "requires amount >= 1"),
        ("resources=VCPU:x", "expected positive integer"),
        ("resources=VCPU", "Badly formed resources"),
        ("resources=", "Badly formed resources"),
        ("resources=NOPE:1", "No such resource class"),
        ("resources=VCPU:1&required=NOPE", "No such trait"),
        ("resources=VCPU:1&required=,", "empty trait"),
        ("resources=VCPU:1&required=in:!HW_CPU_X86_AVX2", "does not support forbidden"),
        ("resources=VCPU:1&required=HW_CPU_X86_AVX2,!HW_CPU_X86_AVX2", "Conflicting"),
        ("resources=VCPU:1&member_of=x", "valid UUID"),
        (f"resources=VCPU:1&member_of={A},{B}", "must be prefixed"),
        ("resources=VCPU:1&in_tree=x", "format of uuid"),
        ("resources=VCPU:1&limit=0", "does not match"),
        ("resources=VCPU:1&surprise=1", "does not match any of the regexes"),
        ("resources1=VCPU:1&resources2=VCPU:1", "group_policy"),
        ("required=HW_CPU_X86_AVX2", "at least one resources"),
        ("resources1=VCPU:1&required2=HW_CPU_X86_AVX2&group_policy=none", "same_subtree"),
        ("resources1=VCPU:1&same_subtree=1,9", "Real suffixes"),
        ("resources1=VCPU:1&same_subtree=,", "Empty string"),
        ("resources=VCPU:1&root_required=A&root_required=B", "only once"),
    ],
)
async def test_a_candidate_query_that_means_nothing_is_refused_in_words(http, path, words):
    answer = await http("GET", f"/allocation_candidates?{path}")
    assert answer.status == 400 and words in answer.detail, answer.body
