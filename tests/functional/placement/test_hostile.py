"""Hostile text and numbers, on SQLite and on PostgreSQL: always the right status, never a failure of the service."""

import asyncio
import json
import uuid
from urllib.parse import quote, urlsplit

import pytest

A, C = str(uuid.UUID(int=0xA)), str(uuid.UUID(int=0xC))


def allocation(amount, **more):
    return {
        "allocations": {A: {"resources": {"VCPU": amount}}},
        "project_id": "p",
        "user_id": "u",
        "consumer_generation": None,
        "consumer_type": "INSTANCE",
        **more,
    }


async def make_provider(http):
    await http("POST", "/resource_providers", {"name": "a", "uuid": A})
    body = {"resource_provider_generation": 0, "inventories": {"VCPU": {"total": 8}}}
    assert (await http("PUT", f"/resource_providers/{A}/inventories", body)).status == 200


HOSTILE = ["x" * 300, "a\x00b", "\ud800", "a/b", "..", "%s%n", "\u202e", "'; DROP TABLE consumers;--", ""]


@pytest.mark.parametrize("text", HOSTILE)
async def test_no_text_makes_the_service_fail(http, text):
    quoted = quote(text.encode("utf-8", "surrogatepass"), safe="")
    for method, path in [
        ("GET", f"/resource_providers/{quoted}"),
        ("GET", f"/resource_providers?name={quoted}"),
        ("GET", f"/resource_providers/{quoted}/inventories/{quoted}"),
        ("GET", f"/allocations/{quoted}"),
        ("DELETE", f"/allocations/{quoted}"),
        ("GET", f"/traits/{quoted}"),
        ("PUT", f"/traits/{quoted}"),
        ("GET", f"/traits?name=in:{quoted}"),
        ("GET", f"/resource_classes/{quoted}"),
        ("GET", f"/usages?project_id={quoted}"),
        ("GET", f"/allocation_candidates?resources={quoted}:1"),
    ]:
        assert (await http(method, path)).status < 500, (method, path)
    body = json.dumps({"name": text}).encode()
    assert (await http("POST", "/resource_providers", raw=body)).status in (200, 400)
    owner = json.dumps(allocation(1, project_id=text)).encode()
    assert (await http("PUT", f"/allocations/{C}", raw=owner)).status == 400


@pytest.mark.parametrize("amount", [0, -1, 1.5, 10**18, 10**30, "1", None, True])
async def test_no_number_makes_the_service_fail(http, amount):
    await make_provider(http)
    status = (await http("PUT", f"/allocations/{C}", allocation(amount))).status
    assert status in (400, 409), status
    body = {"resource_provider_generation": 1, "total": amount}
    assert (await http("PUT", f"/resource_providers/{A}/inventories/VCPU", body)).status == 400
    assert (await http("GET", f"/resource_providers?resources=VCPU:{amount}")).status in (200, 400)
    assert (await http("GET", f"/allocation_candidates?resources=VCPU:{amount}&limit={amount}")).status in (200, 400)


async def test_a_length_that_is_no_number_is_refused(http):
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(http.url).port)
    writer.write(b"POST /placement/resource_providers HTTP/1.1\r\nHost: x\r\nContent-Length: hi mom\r\n\r\n{}")
    assert b" 400 " in await reader.readline()
    writer.close()
    await writer.wait_closed()
