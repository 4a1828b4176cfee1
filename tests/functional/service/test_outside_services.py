"""What a client is told whose request names no service: JSON as everywhere, with the request's id."""

import asyncio
import json
from collections.abc import Iterator

import aiohttp
import pytest

from tests.support.service import Service


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("outside") / "state") as made:
        yield made


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "/", 404, "services are at /compute, /healthcheck, /identity, /image, /metrics, /network"),
        ("GET", "/favicon.ico", 404, "Nothing is served at this path"),
        ("POST", "/v3/auth/tokens", 404, "/identity"),
        ("GET", "/computer/v2.1", 404, "/compute"),
        ("DELETE", "/metrics", 405, "DELETE is not served"),
        ("GET", "/%00", 404, "Nothing is served"),
    ],
)
async def test_what_no_service_answers_is_answered_in_json(
    service: Service, method: str, path: str, status: int, words: str
) -> None:
    async with aiohttp.ClientSession() as session, session.request(method, service.url + path) as answer:
        fault = (await answer.json(content_type="application/json"))["error"]
    assert answer.status == fault["code"] == status
    assert words in fault["message"]
    assert answer.headers["x-openstack-request-id"] == fault["request_id"]
    assert fault["request_id"].startswith("req-") and "Server" not in answer.headers
    assert ("Allow" in answer.headers) == (status == 405)


EXPECTED = {
    "/compute/v2.1/servers": lambda told: told["computeFault"]["code"],
    "/compute/nothing": lambda told: told["computeFault"]["code"],
    "/identity/v3/users": lambda told: told["error"]["code"],
    "/network/v2.0/networks": lambda told: 417 if told["NeutronError"]["type"] == "ExpectationFailed" else 0,
    "/placement/resource_providers": lambda told: told["errors"][0]["status"],
    "/image/v2/images": lambda told: int(told["code"].split()[0]),
    "/volume/v3/volumes": lambda told: told["expectationFailed"]["code"],
    "/novakit/v1/guests": lambda told: told["error"]["code"],
    "/metrics": lambda told: told["error"]["code"],
    "/nothing": lambda told: told["error"]["code"],
}
"""Where the status stands in the errors of each service."""


@pytest.mark.parametrize("path", EXPECTED)
async def test_an_expectation_that_nobody_meets_is_refused_in_the_form_of_the_service(
    service: Service, path: str
) -> None:
    async with aiohttp.ClientSession() as session, session.get(service.url + path, headers={"Expect": "x"}) as answer:
        told = await answer.json(content_type="application/json")
    assert answer.status == EXPECTED[path](told) == 417
    assert "100-continue" in json.dumps(told)
    assert answer.headers["x-openstack-request-id"].startswith("req-") and "Server" not in answer.headers


async def test_the_one_expectation_that_is_met_is_met(service: Service) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    head = b"POST /identity/v3/auth/tokens HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-Continue\r\n\r\n"
    writer.write(head)
    async with asyncio.timeout(30):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        writer.write(b"{}")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 400 ")
    writer.close()
