"""The Placement API over HTTP: resources, versions, errors, headers."""

import asyncio
import json
import uuid
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import pytest

from novakit.placement import HostReport
from novakit_hookspecs.hosts import Inventory

A, B, C = (str(uuid.UUID(int=n)) for n in (0xA, 0xB, 0xC))


@pytest.fixture
async def store(tmp_path):
    from novakit.store import Store

    opened = await Store.open(f"sqlite+aiosqlite:///{tmp_path}/placement.db")
    await opened.create_all()
    yield opened
    await opened.close()


async def make(http, name, *, id=None, parent=None, inventory=None, traits=(), aggregates=()):
    id = id or str(uuid.uuid4())
    body = {"name": name, "uuid": id, "parent_provider_uuid": parent}
    assert (await http("POST", "/resource_providers", body)).status == 200
    path = f"/resource_providers/{id}"
    if inventory:
        stated = {key: value if isinstance(value, dict) else {"total": value} for key, value in inventory.items()}
        await http("PUT", f"{path}/inventories", {"resource_provider_generation": 0, "inventories": stated})
    if traits:
        generation = (await http("GET", path)).body["generation"]
        body = {"resource_provider_generation": generation, "traits": list(traits)}
        assert (await http("PUT", f"{path}/traits", body)).status == 200
    if aggregates:
        generation = (await http("GET", path)).body["generation"]
        body = {"resource_provider_generation": generation, "aggregates": list(aggregates)}
        assert (await http("PUT", f"{path}/aggregates", body)).status == 200
    return id


def allocation(amounts, generation=None):
    return {
        "allocations": {id: {"resources": resources} for id, resources in amounts.items()},
        "project_id": "p",
        "user_id": "u",
        "consumer_generation": generation,
        "consumer_type": "INSTANCE",
    }


async def test_the_root_tells_its_versions_to_everybody(http):
    answer = await http("GET", "/", token=None, version=None)
    assert answer.status == 200
    assert answer.body["versions"][0] | {"links": None} == {
        "id": "v1.0",
        "min_version": "1.0",
        "max_version": "1.39",
        "status": "CURRENT",
        "links": None,
    }
    assert answer.headers["OpenStack-API-Version"] == "placement 1.0"
    assert "Last-Modified" not in answer.headers
    assert (await http("GET", "", token=None, version=None)).body == answer.body
    assert (await http("GET", "/", token=None, version="1.15")).headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize(
    ("version", "status"), [("1.40", 406), ("0.9", 406), ("2.0", 406), ("pony", 400), ("1.2.3", 400)]
)
async def test_a_version_that_is_not_spoken_is_refused_with_the_window(http, version, status):
    answer = await http("GET", "/resource_providers", version=version)
    assert answer.status == status
    if status == 406:
        assert answer.body["errors"][0]["max_version"] == "1.39"
        assert answer.body["errors"][0]["min_version"] == "1.0"


async def test_errors_have_a_code_from_1_23_on(http):
    new = (await http("GET", f"/resource_providers/{A}", version="1.23")).body["errors"][0]
    assert new["code"] == "placement.undefined_code"
    assert new["title"] == "Not Found" and new["status"] == 404 and new["request_id"].startswith("req-")
    old = (await http("GET", f"/resource_providers/{A}", version="1.22")).body["errors"][0]
    assert "code" not in old


async def test_only_administrators_services_and_a_projects_own_readers_come_in(http):
    assert (await http("GET", "/resource_providers", token=None)).status == 401
    assert (await http("GET", "/resource_providers", token="forged")).status == 401
    for token, status in {"admin": 200, "service": 200, "member": 403, "reader": 403, "system": 403}.items():
        assert (await http("GET", "/resource_providers", token=token)).status == status, token
    for token, status in {"reader:x": 200, "reader:y": 403, "nobody:x": 403, "admin:y": 200, "system": 403}.items():
        assert (await http("GET", "/usages?project_id=x", token=token)).status == status, token


async def test_bodies_and_answers_are_json_alone(http):
    path = "/resource_providers"
    answer = await http("POST", path, raw=b"name=x", headers={"Content-Type": "text/plain"})
    assert answer.status == 415 and "use application/json" in answer.detail
    assert (await http("POST", path, raw=b"{}", headers={"Content-Type": None})).status == 400
    assert (await http("GET", path, headers={"Accept": "text/plain"})).status == 406
    assert (await http("POST", path, raw=b"{")).status == 400


async def test_errors_are_pages_for_those_who_read_nothing_else(http):
    async with http.session.get(
        f"{http.url}/no%3Cscript%3E", headers={"X-Auth-Token": "admin", "Accept": "text/html"}
    ) as answer:
        text = await answer.text()
    assert answer.status == 404 and answer.content_type == "text/html"
    assert "The resource could not be found" in text and "&lt;script&gt;" in text and "<script>" not in text


async def test_only_services_reshape(http):
    body = {"inventories": {}, "allocations": {}}
    refused = await http("POST", "/reshaper", body)
    assert refused.status == 403 and "placement:reshaper:reshape" in refused.detail
    assert (await http("POST", "/reshaper", body, token="service")).status == 400


async def test_what_is_not_there_and_what_cannot_be_done_are_told_apart(http):
    assert (await http("GET", "/nowhere")).status == 404
    answer = await http("PATCH", "/resource_providers")
    assert answer.status == 405 and answer.headers["Allow"] == "GET, POST"
    assert (await http("GET", "/traits", version="1.5")).status == 404
    assert (await http("DELETE", f"/resource_providers/{A}/inventories", version="1.4")).status == 405


async def test_providers_are_made_listed_renamed_and_deleted(http):
    answer = await http("POST", "/resource_providers", {"name": "one", "uuid": A}, version="1.19")
    assert answer.status == 201 and answer.body is None
    assert answer.headers["Location"].endswith(f"/placement/resource_providers/{A}")
    again = await http("POST", "/resource_providers", {"name": "one"})
    assert again.status == 409 and again.code == "placement.duplicate_name" and "name: one" in again.detail
    shown = await http("GET", f"/resource_providers/{A}")
    assert shown.body["root_provider_uuid"] == A and shown.body["parent_provider_uuid"] is None
    assert [link["rel"] for link in shown.body["links"]] == [
        "self",
        "inventories",
        "usages",
        "aggregates",
        "traits",
        "allocations",
    ]
    assert parsedate_to_datetime(shown.headers["Last-Modified"])
    renamed = await http("PUT", f"/resource_providers/{A}", {"name": "uno"})
    assert renamed.status == 200 and renamed.body["name"] == "uno"
    assert [one["uuid"] for one in (await http("GET", "/resource_providers?name=uno")).body["resource_providers"]] == [
        A
    ]
    assert (await http("DELETE", f"/resource_providers/{A}")).status == 204
    assert (await http("DELETE", f"/resource_providers/{A}")).status == 404


async def test_trees_are_moved_from_1_37_on_and_never_become_loops(http):
    await make(http, "a", id=A)
    await make(http, "b", id=B, parent=A)
    await make(http, "c", id=C, parent=B)
    assert (await http("GET", f"/resource_providers/{C}")).body["root_provider_uuid"] == A
    refused = await http("PUT", f"/resource_providers/{B}", {"name": "b", "parent_provider_uuid": None}, version="1.36")
    assert refused.status == 400 and "un-parenting" in refused.detail
    loop = await http("PUT", f"/resource_providers/{A}", {"name": "a", "parent_provider_uuid": C})
    assert loop.status == 400 and "loop" in loop.detail
    parent = await http("DELETE", f"/resource_providers/{A}")
    assert parent.status == 409 and parent.code == "placement.resource_provider.cannot_delete_parent"
    moved = await http("PUT", f"/resource_providers/{B}", {"name": "b", "parent_provider_uuid": None})
    assert moved.body["root_provider_uuid"] == B
    tree = (await http("GET", f"/resource_providers?in_tree={C}")).body["resource_providers"]
    assert {one["uuid"] for one in tree} == {B, C}


async def test_inventories_are_guarded_by_the_generation_and_kept_while_in_use(http):
    path = f"/resource_providers/{await make(http, 'a', id=A, inventory={'VCPU': 8})}/inventories"
    stale = await http("PUT", f"{path}/VCPU", {"resource_provider_generation": 0, "total": 9})
    assert stale.status == 409 and stale.code == "placement.concurrent_update"
    assert (await http("PUT", f"/allocations/{C}", allocation({A: {"VCPU": 2}}))).status == 204
    generation = (await http("GET", path)).body["resource_provider_generation"]
    gone = await http("PUT", path, {"resource_provider_generation": generation, "inventories": {}})
    assert gone.status == 409 and gone.code == "placement.inventory.inuse"
    assert (await http("DELETE", f"{path}/VCPU")).status == 409
    assert (await http("DELETE", f"/resource_providers/{A}")).code == "placement.resource_provider.inuse"
    made = await http("POST", path, {"resource_class": "DISK_GB", "total": 5, "reserved": 5})
    assert made.status == 201 and made.headers["Location"].endswith("/inventories/DISK_GB")
    full = await http("POST", path, {"resource_class": "MEMORY_MB", "total": 5, "reserved": 5}, version="1.25")
    assert full.status == 400 and "greater than or equal to total" in full.detail


async def test_traits_and_classes_of_ones_own_begin_with_custom(http):
    assert (await http("PUT", "/traits/CUSTOM_GOLD")).status == 201
    assert (await http("PUT", "/traits/CUSTOM_GOLD")).status == 204
    assert (await http("PUT", "/traits/GOLD")).status == 400
    assert (await http("DELETE", "/traits/HW_CPU_X86_AVX2")).status == 400
    await make(http, "a", id=A, traits=["CUSTOM_GOLD", "HW_CPU_X86_AVX2"])
    assert (await http("DELETE", "/traits/CUSTOM_GOLD")).status == 409
    assert (await http("GET", "/traits?associated=true")).body["traits"] == ["CUSTOM_GOLD", "HW_CPU_X86_AVX2"]
    assert (await http("GET", "/traits?name=startswith:CUSTOM_")).body["traits"] == ["CUSTOM_GOLD"]
    assert (await http("PUT", "/resource_classes/CUSTOM_X")).status == 201
    assert (await http("POST", "/resource_classes", {"name": "CUSTOM_X"})).status == 409
    renamed = await http("PUT", "/resource_classes/CUSTOM_X", {"name": "CUSTOM_Y"}, version="1.6")
    assert renamed.status == 200 and renamed.body["name"] == "CUSTOM_Y"
    assert (await http("DELETE", "/resource_classes/VCPU")).status == 400
    assert (await http("DELETE", "/resource_classes/CUSTOM_Y")).status == 204


async def test_a_consumer_is_guarded_by_its_own_generation(http):
    await make(http, "a", id=A, inventory={"VCPU": 8})
    path = f"/allocations/{C}"
    assert (await http("PUT", path, allocation({A: {"VCPU": 1}}, generation=3))).status == 409
    assert (await http("PUT", path, allocation({A: {"VCPU": 1}}))).status == 204
    again = await http("PUT", path, allocation({A: {"VCPU": 1}}))
    assert again.status == 409 and "expected 1 but got null" in again.detail
    assert again.code == "placement.concurrent_update"
    assert (await http("GET", path)).body == {
        "allocations": {A: {"resources": {"VCPU": 1}, "generation": 2}},
        "project_id": "p",
        "user_id": "u",
        "consumer_generation": 1,
        "consumer_type": "INSTANCE",
    }
    assert (await http("PUT", path, allocation({}, generation=1))).status == 204
    assert (await http("GET", path)).body == {"allocations": {}}
    assert (await http("DELETE", path)).status == 404


async def test_usages_are_told_by_project_user_and_consumer_type(http):
    await make(http, "a", id=A, inventory={"VCPU": 8, "DISK_GB": 10})
    await http("PUT", f"/allocations/{B}", allocation({A: {"VCPU": 1, "DISK_GB": 2}}))
    old = {key: value for key, value in allocation({A: {"VCPU": 2}}).items() if key != "consumer_type"}
    assert (await http("PUT", f"/allocations/{C}", old, version="1.37")).status == 204
    assert (await http("GET", "/usages?project_id=p", version="1.37")).body == {"usages": {"VCPU": 3, "DISK_GB": 2}}
    assert (await http("GET", "/usages?project_id=p")).body["usages"] == {
        "INSTANCE": {"VCPU": 1, "DISK_GB": 2, "consumer_count": 1},
        "unknown": {"VCPU": 2, "consumer_count": 1},
    }
    everything = (await http("GET", "/usages?project_id=p&consumer_type=all")).body["usages"]
    assert everything == {"all": {"VCPU": 3, "DISK_GB": 2, "consumer_count": 2}}
    assert (await http("GET", "/usages?project_id=p&user_id=other")).body == {"usages": {}}


async def test_reshaping_moves_inventory_and_what_is_held_of_it_or_nothing(http):
    await make(http, "a", id=A, inventory={"VCPU": 8, "DISK_GB": 10})
    await make(http, "b", id=B, parent=A)
    await http("PUT", f"/allocations/{C}", allocation({A: {"VCPU": 4, "DISK_GB": 1}}))
    body = {
        "inventories": {
            A: {"resource_provider_generation": 2, "inventories": {"DISK_GB": {"total": 10}}},
            B: {"resource_provider_generation": 0, "inventories": {"VCPU": {"total": 8}}},
        },
        "allocations": {},
    }
    in_use = await http("POST", "/reshaper", body, token="service")
    assert in_use.status == 409 and in_use.code == "placement.inventory.inuse"
    assert (await http("GET", f"/resource_providers/{B}/inventories")).body["inventories"] == {}
    body["allocations"] = {C: allocation({A: {"DISK_GB": 1}, B: {"VCPU": 4}}, generation=1)}
    assert (await http("POST", "/reshaper", body, token="service")).status == 204
    assert (await http("GET", f"/resource_providers/{A}/usages")).body["usages"] == {"DISK_GB": 1}
    assert (await http("GET", f"/resource_providers/{B}/usages")).body["usages"] == {"VCPU": 4}


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


async def test_lists_of_many_pieces_are_whole(http, store):
    reports = [
        HostReport(
            provider_id=str(uuid.UUID(int=n + 1)),
            name=f"h{n:04}",
            inventory={"VCPU": Inventory(total=8)},
            traits=frozenset(),
        )
        for n in range(1201)
    ]
    async with store.write() as session:
        await http.placement.report_hosts(session, reports)
    ids = [one.provider_id for one in reports]
    listed = await http("GET", "/resource_providers")
    assert sorted(one["uuid"] for one in listed.body["resource_providers"]) == ids
    assert listed.headers["Cache-Control"] == "no-cache" and listed.headers["Last-Modified"]
    found = await http("GET", "/allocation_candidates?resources=VCPU:1")
    assert sorted(found.body["provider_summaries"]) == ids
    assert sorted(*zip(*(one["allocations"] for one in found.body["allocation_requests"]), strict=True)) == ids


async def test_a_client_that_knows_no_chunks_gets_long_answers_whole(http, store):
    reports = [
        HostReport(
            provider_id=str(uuid.UUID(int=n + 1)), name=f"h{n:04}", inventory={"VCPU": Inventory(total=8)}, traits=()
        )
        for n in range(1201)
    ]
    async with store.write() as session:
        await http.placement.report_hosts(session, reports)
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(http.url).port)
    writer.write(
        b"GET /placement/allocation_candidates?resources=VCPU:1 HTTP/1.0\r\nHost: x\r\nX-Auth-Token: admin\r\n"
        b"OpenStack-API-Version: placement 1.39\r\n\r\n"
    )
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert b" 200 " in head and b"chunked" not in head
    assert len(json.loads(body)["allocation_requests"]) == 1201


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


async def test_an_allocation_from_a_provider_that_is_not_there_says_so_before_anything_that_does_not_fit(http):
    full = await make(http, "full", inventory={"VCPU": 1})
    bare = await make(http, "bare")
    for others in ({bare: {"VCPU": 1}}, {full: {"VCPU": 2}}, {full: {"CUSTOM_NONE": 1}}):
        for amounts in ({**others, C: {"VCPU": 1}}, {C: {"VCPU": 1}, **others}):
            for method, path, body in (
                ("PUT", f"/allocations/{A}", allocation(amounts)),
                ("POST", "/allocations", {A: allocation(others), B: allocation({C: {"VCPU": 1}})}),
            ):
                answer = await http(method, path, body)
                assert (answer.status, C in answer.detail) == (400, True), answer.body
    for consumer in (A, B):
        assert (await http("GET", f"/allocations/{consumer}")).body["allocations"] == {}


async def test_an_empty_name_asks_for_no_name(http):
    ids = {await make(http, "one"), await make(http, "two")}
    listed = (await http("GET", "/resource_providers?name=")).body["resource_providers"]
    assert {one["uuid"] for one in listed} == ids


@pytest.mark.parametrize("name", ["in_tree", "uuid"])
async def test_a_query_takes_a_uuid_with_dashes_alone(http, name):
    id = await make(http, "one")
    assert (await http("GET", f"/resource_providers?{name}={id}")).status == 200
    for other in (id.replace("-", ""), f"{{{id}}}", f"urn:uuid:{id}"):
        answer = await http("GET", f"/resource_providers?{name}={other}")
        assert (answer.status, f"{other!r} is not a 'uuid'" in answer.detail) == (400, True)
    assert (await http("GET", f"/allocation_candidates?resources=VCPU:1&in_tree={id.replace('-', '')}")).status == 200


async def test_an_inventory_of_a_class_that_is_not_there_is_not_found_and_of_one_that_the_provider_lacks_is_refused(
    http,
):
    id = await make(http, "one", inventory={"VCPU": 1})
    for name, status in (("vcpu", 404), ("CUSTOM_NONE", 404), ("MEMORY_MB", 400), ("VCPU", 200)):
        body = {"resource_provider_generation": 1, "total": 2}
        assert (await http("PUT", f"/resource_providers/{id}/inventories/{name}", body)).status == status
    stale = await http("PUT", f"/resource_providers/{id}/inventories/CUSTOM_NONE", body)
    assert (stale.status, stale.code) == (409, "placement.concurrent_update")


@pytest.mark.parametrize(
    ("version", "status"),
    [("1.-1", 406), ("-1.0", 406), ("1.40", 406), (f"1.{'9' * 20}", 406), ("1.", 400), ("1.--1", 400), ("1.a", 400)],
)
async def test_a_version_that_is_two_numbers_is_not_acceptable_and_anything_else_not_a_version(http, version, status):
    assert (await http("GET", "/resource_providers", version=version)).status == status
