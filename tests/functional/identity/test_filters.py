"""Identity's lists obey what they are asked for or refuse it, and nothing that a client keeps is lost."""

from typing import Any

import pytest


async def _projects(cloud: Any, token: str) -> None:
    for name, tags, enabled in (("one", ["blue", "green"], True), ("two", ["blue"], True), ("three", [], False)):
        body = {"project": {"name": name, "tags": tags, "enabled": enabled}}
        assert (await cloud.ask("POST", "/v3/projects", body, token))[0] == 201


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("tags=blue", {"one", "two"}),
        ("tags=blue,green", {"one"}),
        ("tags-any=green,red", {"one"}),
        ("not-tags=blue,green", {"two", "three"}),
        ("not-tags-any=blue", {"three"}),
        ("enabled=false", {"three"}),
        ("enabled=n", {"three"}),
        ("is_domain=true", set()),
        ("name__startswith=t", {"two", "three"}),
        ("name__icontains=W", {"two"}),
        ("name__contains=W", set()),
    ],
)
async def test_lists_of_projects_obey_every_filter(cloud: Any, query: str, found: set[str]) -> None:
    token = await cloud.token()
    await _projects(cloud, token)
    status, said = await cloud.ask("GET", f"/v3/projects?{query}", token=token)
    assert status == 200
    assert {one["name"] for one in said["projects"]} & {"one", "two", "three"} == found
    if "is_domain" in query:
        assert said["projects"] == []


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", {"one", "two"}),
        ("name=two", {"two"}),
        ("tags=green", {"one"}),
        ("enabled=false", set()),
        ("name__startswith=o", {"one"}),
        ("no_such=1", None),
        ("enabled=maybe", None),
        ("marker=none-such", None),
    ],
)
async def test_the_projects_of_a_caller_are_listed_as_all_are(cloud: Any, query: str, found: set[str] | None) -> None:
    token = await cloud.token()
    await _projects(cloud, token)
    people = {one["name"]: one["id"] for one in (await cloud.ask("GET", "/v3/users", token=token))[1]["users"]}
    roles = {one["name"]: one["id"] for one in (await cloud.ask("GET", "/v3/roles", token=token))[1]["roles"]}
    for project in (await cloud.ask("GET", "/v3/projects?tags=blue", token=token))[1]["projects"]:
        place = f"/v3/projects/{project['id']}/users/{people['admin']}/roles/{roles['member']}"
        assert (await cloud.ask("PUT", place, token=token))[0] == 204
    status, said = await cloud.ask("GET", f"/v3/auth/projects?{query}", token=token)
    if found is None:
        assert status == 400, said
    else:
        assert status == 200 and {one["name"] for one in said["projects"]} - {"admin"} == found
    also = await cloud.ask("GET", f"/v3/users/{people['admin']}/projects?{query}", token=token)
    assert also[0] == status and also[1].get("projects") == said.get("projects")


@pytest.mark.parametrize("plural", ["domains", "projects", "users", "roles", "regions", "services", "endpoints"])
@pytest.mark.parametrize("query", ["no_such=1", "limit=-1", "marker=none-such", "name__like=a"])
async def test_what_a_list_cannot_obey_is_refused(cloud: Any, plural: str, query: str) -> None:
    token = await cloud.token()
    status, said = await cloud.ask("GET", f"/v3/{plural}?{query}", token=token)
    assert status == 400, said
    assert query.partition("=")[0].partition("__")[0] in said["error"]["message"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("password_expires_at=lt:2030-01-01T00:00:00Z", 200),
        ("password_expires_at=lt:soon", 400),
        ("password_expires_at=2030-01-01T00:00:00Z", 400),
        ("password_expires_at=about:2030-01-01T00:00:00Z", 400),
        ("password_expires_at__contains=2", 400),
        ("enabled__contains=t", 400),
    ],
)
async def test_times_and_flags_are_compared_as_such(cloud: Any, query: str, found: int) -> None:
    status, said = await cloud.ask("GET", f"/v3/users?{query}", token=await cloud.token())
    assert status == found and said.get("users", []) == []


async def test_lists_have_pages(cloud: Any) -> None:
    token = await cloud.token()
    await _projects(cloud, token)
    _, whole = await cloud.ask("GET", "/v3/projects", token=token)
    path, seen = "/v3/projects?limit=2", []
    while path:
        status, said = await cloud.ask("GET", path, token=token)
        assert status == 200 and len(said["projects"]) <= 2
        seen += [one["id"] for one in said["projects"]]
        following = said["links"]["next"]
        path = following and following[following.index("/v3") :]
    assert seen == [one["id"] for one in whole["projects"]] and len(seen) >= 5


@pytest.mark.parametrize(
    ("noun", "plural", "needed"),
    [
        ("user", "users", {}),
        ("project", "projects", {}),
        ("domain", "domains", {}),
        ("role", "roles", {}),
        ("service", "services", {"type": "sort"}),
    ],
)
async def test_attributes_that_the_api_does_not_know_are_kept(
    cloud: Any, noun: str, plural: str, needed: dict[str, str]
) -> None:
    token = await cloud.token()
    body = {noun: {"name": "x", "phone": "1", "desk": {"floor": 3}, **needed}}
    status, made = await cloud.ask("POST", f"/v3/{plural}", body, token)
    assert status == 201
    path = f"/v3/{plural}/{made[noun]['id']}"
    assert (made[noun]["phone"], made[noun]["desk"]) == ("1", {"floor": 3})
    if noun != "domain":
        change = {noun: {"phone": "2", "desk": None, "links": {"self": "x"}}}
        assert (await cloud.ask("PATCH", path, change, token))[0] == 200
        _, shown = await cloud.ask("GET", path, token=token)
        assert shown[noun]["phone"] == "2" and "desk" not in shown[noun]
        assert shown[noun]["links"]["self"].endswith(path)
    body[noun] |= {"name": "y", "phone": "1" * 70000}
    assert (await cloud.ask("POST", f"/v3/{plural}", body, token))[0] == 400


@pytest.mark.parametrize(("noun", "plural", "longest"), [("project", "projects", 64), ("user", "users", 255)])
async def test_names_have_their_greatest_length(cloud: Any, noun: str, plural: str, longest: int) -> None:
    token = await cloud.token()
    for length, wanted in ((longest, 201), (longest + 1, 400)):
        assert (await cloud.ask("POST", f"/v3/{plural}", {noun: {"name": "n" * length}}, token))[0] == wanted


async def test_everybody_reads_the_own_domain_and_no_other(cloud: Any) -> None:
    token, admin = await cloud.token("demo", "demo secret"), await cloud.token()
    _, other = await cloud.ask("POST", "/v3/domains", {"domain": {"name": "other"}}, admin)
    assert (await cloud.ask("GET", "/v3/domains/default", token=token))[0] == 200
    assert (await cloud.ask("GET", f"/v3/domains/{other['domain']['id']}", token=token))[0] == 403
