"""The root of the Placement API, and the versions that it speaks."""

import pytest

from tests.functional.placement.resources import store  # noqa: F401


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


@pytest.mark.parametrize(
    ("version", "status"),
    [("1.-1", 406), ("-1.0", 406), ("1.40", 406), (f"1.{'9' * 20}", 406), ("1.", 400), ("1.--1", 400), ("1.a", 400)],
)
async def test_a_version_that_is_two_numbers_is_not_acceptable_and_anything_else_not_a_version(http, version, status):
    assert (await http("GET", "/resource_providers", version=version)).status == status
