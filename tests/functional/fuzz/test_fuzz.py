"""A drawn sample of what `python -m tests.fuzz` sends: none of it is answered 5xx."""

import os
import random
from pathlib import Path

import pytest

from tests.fuzz.drive import Answer, Target, fuzz, replayed, target
from tests.fuzz.requests import Drawing, Request

SAMPLE = 600


@pytest.fixture
def seed() -> int:
    drawn = int(os.environ.get("NOVAKIT_FUZZ_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"NOVAKIT_FUZZ_SEED={drawn}")
    return drawn


async def _sample(service: Target, seed: int, number: int) -> None:
    statuses, failures = await fuzz(service, Drawing(random.Random(seed)), number)
    assert not failures, f"seed {seed}:\n" + "\n".join(failure.told(service.tokens) for failure in failures)
    # What is refused at the door alone would prove nothing.
    done = sum(count for status, count in statuses.items() if 200 <= status < 300)
    assert done > number / 20 and statuses.total() == number, statuses


async def test_nothing_is_answered_5xx_on_sqlite(tmp_path: Path, seed: int) -> None:
    async with target(tmp_path, None) as service:
        await _sample(service, seed, SAMPLE)


async def test_nothing_is_answered_5xx_on_postgresql(tmp_path: Path, seed: int, postgres_url: str) -> None:
    async with target(tmp_path, postgres_url, through_socket=True) as service:
        await _sample(service, seed, SAMPLE)


HOST = (("Host", "cloud"),)
JSON = (*HOST, ("Content-Type", "application/json"))
BAD = {
    "a microversion of 5,000 digits": Request("GET", "/compute/v2.1/servers", (*HOST, ("OpenStack-API-Version", f"compute 2.{'9' * 5000}"))),
    "the same, the old way": Request("GET", "/compute/v2.1/servers", (*HOST, ("X-OpenStack-Nova-API-Version", f"2.{'9' * 5000}"))),
    "the same of placement": Request("GET", "/placement/traits", (*HOST, ("OpenStack-API-Version", f"placement 1.{'9' * 5000}"))),
    "a body that only claims to be gzip": Request("POST", "/compute/v2.1/servers", JSON, {"server": {}}, encoding="claims-gzip"),
    "a body that is gzip": Request("POST", "/identity/v3/auth/tokens", JSON, {"auth": {}}, "nobody", "gzip"),
    "an empty Host": Request("GET", "/image", (("Host", ""),)),
    "no Host": Request("GET", "/network/", ()),
    "two Hosts": Request("GET", "/compute/", (*HOST, *HOST)),
    "a Host with an odd port": Request("GET", "/volume", (("Host", "x:99999"),)),
    "tags nested 1,000 deep": Request("PUT", "/compute/v2.1/servers/x/tags", JSON, b'{"tags": ' + b"[" * 1000 + b"]" * 1000 + b"}"),
    "a body nested 200 deep": Request("PUT", "/placement/resource_providers/x/inventories", JSON, b'{"inventories": ' + b"[" * 200 + b"]" * 200 + b"}"),
    "a patch nested 200 deep": Request("PATCH", "/image/v2/images/x", (*HOST, ("Content-Type", "application/openstack-images-v2.1-json-patch")), b"[" * 200 + b"]" * 200),
    "NUL in a text": Request("POST", "/identity/v3/projects", JSON, {"project": {"name": "a\0b"}}),
    "an inventory that is a text": Request("PUT", "/placement/resource_providers/11111111-1111-4111-8111-111111111111/inventories", JSON,
                                           {"resource_provider_generation": 0, "inventories": {"": "x"}}),
    "1,000 tags of networks": Request("GET", "/network/v2.0/networks?" + "&".join(f"tags=t{n}" for n in range(1000)), HOST),
    "1,000 tags of servers": Request("GET", f"/compute/v2.1/servers?tags={','.join(f't{n}' for n in range(1000))}",
                                     (*HOST, ("OpenStack-API-Version", "compute 2.100"))),
    "1,000 tags of projects": Request("GET", f"/identity/v3/projects?tags={','.join(f't{n}' for n in range(1000))}", HOST),
    "1,000 tags of images": Request("GET", "/image/v2/images?" + "&".join(f"tag=t{n}" for n in range(1000)), HOST),
}  # fmt: skip


async def test_what_was_answered_5xx_once_is_4xx(tmp_path: Path) -> None:
    async with target(tmp_path, None) as service:
        await service.send(
            Request(
                "POST",
                "/placement/resource_providers",
                JSON,
                {"name": "rp", "uuid": "11111111-1111-4111-8111-111111111111"},
            )
        )
        answers: dict[str, Answer] = {name: await service.send(request) for name, request in BAD.items()}
    wrong = {name: answer for name, answer in answers.items() if not 400 <= answer.status < 500}
    assert not wrong


async def test_an_id_that_a_client_gives_is_not_taken(tmp_path: Path) -> None:
    async with target(tmp_path, None) as service:
        answer = await service.send(Request("POST", "/identity/v3/projects", JSON, {"project": {"name": "p", "id": 2}}))
        assert answer.status == 201 and b'"id":2' not in answer.body


def test_a_failure_can_be_sent_again() -> None:
    from tests.fuzz.drive import Failure

    for body in ({"a": ["b"]}, b"\xff\x00", None):
        request = Request("POST", "/x?a=b", JSON, body, "demo", "chunked")
        assert replayed(Failure(request, 500, b"").told({}).splitlines()[0]) == request
