"""The Placement API over HTTP: resources, versions, errors, headers."""

from tests.functional.placement.resources import A, store  # noqa: F401


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


async def test_what_is_not_there_and_what_cannot_be_done_are_told_apart(http):
    assert (await http("GET", "/nowhere")).status == 404
    answer = await http("PATCH", "/resource_providers")
    assert answer.status == 405 and answer.headers["Allow"] == "GET, POST"
    assert (await http("GET", "/traits", version="1.5")).status == 404
    assert (await http("DELETE", f"/resource_providers/{A}/inventories", version="1.4")).status == 405
