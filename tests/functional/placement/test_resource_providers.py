"""Resource providers, and the trees that they stand in."""

import asyncio
import json
import uuid
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import pytest

from novakit.placement import HostReport
from novakit_hookspecs.hosts import Inventory
from tests.functional.placement.resources import A, B, C, allocation, make, store  # noqa: F401


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


async def test_lists_of_many_pieces_are_whole(http, store):  # noqa: F811
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


async def test_a_client_that_knows_no_chunks_gets_long_answers_whole(http, store):  # noqa: F811
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


async def test_an_id_in_capitals_is_the_same_id(http):
    root, rack, holder = (str(uuid.UUID(int=0xABCDEF << 96 | number)) for number in (1, 2, 3))
    await make(http, "root", id=root.upper(), inventory={"VCPU": 8}, aggregates=[rack.upper()])
    child = await make(http, "child", parent=root.upper())
    for spelt in (root.upper(), root):
        assert (await http("GET", f"/resource_providers/{spelt}")).body["name"] == "root"
        for query in (f"uuid={spelt}", f"in_tree={spelt}", f"member_of={rack.upper()}", f"member_of=in:{rack}"):
            found = (await http("GET", f"/resource_providers?{query}")).body["resource_providers"]
            assert root in {one["uuid"] for one in found}, query
        found = (await http("GET", f"/allocation_candidates?resources=VCPU:1&in_tree={spelt}")).body
        assert len(found["allocation_requests"]) == 1
    assert (await http("GET", f"/resource_providers/{root}/aggregates")).body["aggregates"] == [rack]
    shown = (await http("GET", f"/resource_providers/{child}")).body
    assert shown["parent_provider_uuid"] == shown["root_provider_uuid"] == root
    wanted = allocation({root.upper(): {"VCPU": 2}})
    assert (await http("PUT", f"/allocations/{holder.upper()}", wanted)).status == 204
    for spelt in (holder.upper(), holder):
        held = (await http("GET", f"/allocations/{spelt}")).body["allocations"]
        assert held[root]["resources"] == {"VCPU": 2}
    twice = allocation({root: {"VCPU": 2}, root.upper(): {"VCPU": 1}}, 1)
    refused = await http("PUT", f"/allocations/{holder}", twice)
    assert refused.status == 400 and "named twice" in refused.detail
    assert (await http("DELETE", f"/allocations/{holder.upper()}")).status == 204
    assert (await http("GET", f"/allocations/{holder}")).body["allocations"] == {}
