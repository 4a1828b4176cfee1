"""What a client is told whose request names no service: JSON as everywhere, with the request's id."""

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
        ("GET", "/", 404, "there are /compute, /healthcheck, /identity, /image, /metrics, /network"),
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
