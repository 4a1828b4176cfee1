"""Projects, users, services and endpoints."""

import json
from typing import Any

import pytest

EMPTY = {"name": "x"}


_NUL = {"name": "a\0b", "domain": {"id": "default"}, "password": "x"}


LOGIN_WITH_NUL = {"auth": {"identity": {"methods": ["password"], "password": {"user": _NUL}}}}


async def test_projects_live_and_die(cloud: Any) -> None:
    token = await cloud.token()
    body = {"project": {"name": "p1", "description": "first", "tags": ["a"]}}
    status, said = await cloud.ask("POST", "/v3/projects", body, token)
    project = said["project"]
    assert status == 201
    assert project["links"]["self"] == f"{cloud.url}/v3/projects/{project['id']}"
    assert {name: project[name] for name in ("name", "domain_id", "parent_id", "enabled", "is_domain", "tags")} == {
        "name": "p1",
        "domain_id": "default",
        "parent_id": "default",
        "enabled": True,
        "is_domain": False,
        "tags": ["a"],
    }
    path = f"/v3/projects/{project['id']}"
    assert (await cloud.ask("POST", "/v3/projects", body, token))[0] == 409
    assert (await cloud.ask("PATCH", path, {"project": {"name": "demo"}}, token))[0] == 409
    assert (await cloud.ask("PATCH", path, {"project": {"domain_id": "other"}}, token))[0] == 400
    status, said = await cloud.ask("PATCH", path, {"project": {"description": "second"}}, token)
    assert (status, said["project"]["description"]) == (200, "second")
    assert (await cloud.ask("GET", "/v3/projects/p1", token=token))[0] == 404
    status, said = await cloud.ask("GET", "/v3/projects?name=p1", token=token)
    assert [one["id"] for one in said["projects"]] == [project["id"]]
    assert set(said["links"]) == {"self", "next", "previous"}
    assert (await cloud.ask("DELETE", path, token=token))[0] == 204
    assert (await cloud.ask("DELETE", path, token=token))[0] == 404


async def test_a_new_user_can_log_in_once_it_has_a_role(cloud: Any) -> None:
    token = await cloud.token()
    _, said = await cloud.ask("POST", "/v3/projects", {"project": {"name": "team"}}, token)
    project = said["project"]["id"]
    body = {"user": {"name": "alice", "password": "her secret", "email": "a@example.org"}}
    status, said = await cloud.ask("POST", "/v3/users", body, token)
    assert status == 201
    assert "password" not in json.dumps(said["user"]).replace("password_expires_at", "")
    user = said["user"]["id"]
    scope = {"project": {"id": project}}
    assert (await cloud.login("alice", "her secret", scope=scope))[0] == 401
    _, said = await cloud.ask("GET", "/v3/roles?name=manager", token=token)
    role = said["roles"][0]["id"]
    path = f"/v3/projects/{project}/users/{user}/roles"
    assert (await cloud.ask("HEAD", f"{path}/{role}", token=token))[0] == 404
    for _ in range(2):
        assert (await cloud.ask("PUT", f"{path}/{role}", token=token))[0] == 204
    assert (await cloud.ask("HEAD", f"{path}/{role}", token=token))[0] == 204
    assert [one["name"] for one in (await cloud.ask("GET", path, token=token))[1]["roles"]] == ["manager"]
    _, said, hers = await cloud.login("alice", "her secret", scope=scope)
    assert [one["name"] for one in said["token"]["roles"]] == ["manager", "member", "reader"]
    _, said = await cloud.ask("GET", "/v3/auth/projects", token=hers)
    assert [one["name"] for one in said["projects"]] == ["team"]
    assert (await cloud.ask("GET", f"/v3/users/{user}", token=hers))[0] == 200
    assert (await cloud.ask("GET", f"/v3/projects/{project}", token=hers))[0] == 200
    for made_up in (f"/v3/projects/absent/users/{user}/roles/{role}", f"{path}/absent"):
        assert (await cloud.ask("PUT", made_up, token=token))[0] == 404
    await cloud.ask("DELETE", f"/v3/users/{user}", token=token)
    assert (await cloud.ask("GET", "/v3/auth/projects", token=hers))[0] == 401


async def test_an_ordinary_user_sees_itself_and_changes_nothing(cloud: Any) -> None:
    token = await cloud.token("demo", "demo secret")
    context = await cloud.identity.authenticate(token, "req-1")
    for path in ("users", "projects", "roles", "services", "endpoints", "domains", "role_assignments"):
        assert (await cloud.ask("GET", f"/v3/{path}", token=token))[0] == 403
    for noun in ("user", "project", "role", "service", "endpoint", "domain", "region"):
        assert (await cloud.ask("POST", f"/v3/{noun}s", {noun: EMPTY}, token))[0] == 403
        assert (await cloud.ask("DELETE", f"/v3/{noun}s/x", token=token))[0] in (403, 405)
    own = f"/v3/users/{context.user_id}"
    assert (await cloud.ask("GET", own, token=token))[0] == 200
    assert (await cloud.ask("PATCH", own, {"user": {"enabled": False}}, token))[0] == 403
    assert (await cloud.ask("GET", f"{own}/projects", token=token))[0] == 200
    assert (await cloud.ask("GET", f"/v3/role_assignments?user.id={context.user_id}", token=token))[0] == 200
    roles = f"/v3/projects/{context.project_id}/users/{context.user_id}/roles"
    assert (await cloud.ask("PUT", f"{roles}/x", token=token))[0] == 403
    assert (await cloud.ask("GET", "/v3/regions", token=token))[0] == 200


async def test_services_and_endpoints_appear_in_the_catalog(cloud: Any) -> None:
    token = await cloud.token()
    _, said = await cloud.ask("POST", "/v3/services", {"service": {"type": "dns", "name": "names"}}, token)
    service = said["service"]["id"]
    endpoint = {"service_id": service, "interface": "public", "region_id": "RegionOne", "url": "http://dns.example"}
    assert (await cloud.ask("POST", "/v3/endpoints", {"endpoint": endpoint}, token))[0] == 201
    assert (await cloud.ask("POST", "/v3/endpoints", {"endpoint": {**endpoint, "region_id": "no"}}, token))[0] == 400
    assert (await cloud.ask("POST", "/v3/endpoints", {"endpoint": {**endpoint, "url": "dns"}}, token))[0] == 400
    _, said, _ = await cloud.login()
    assert "http://dns.example" in json.dumps(said["token"]["catalog"])
    assert (await cloud.ask("DELETE", f"/v3/services/{service}", token=token))[0] == 204
    _, said, _ = await cloud.login()
    assert "dns" not in json.dumps(said["token"]["catalog"])


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("/v3/projects", {"project": {"name": "n" * 300}}, 400),
        ("/v3/projects", {"project": {"name": "nul\0"}}, 400),
        ("/v3/projects", {"project": {"name": ""}}, 400),
        ("/v3/projects", {"project": {"name": 7}}, 400),
        ("/v3/projects", {"project": {}}, 400),
        ("/v3/projects", {"project": {"name": "x", "domain_id": "absent"}}, 400),
        ("/v3/projects", {"project": {"name": "x", "parent_id": "absent"}}, 400),
        ("/v3/projects", {}, 400),
        ("/v3/projects", [], 400),
        ("/v3/users", {"user": {"name": "x", "password": "p" * 5000}}, 400),
        ("/v3/users", {"user": {"name": "x", "enabled": "perhaps"}}, 400),
        ("/v3/users", {"user": {"name": "x", "default_project_id": "absent"}}, 400),
        ("/v3/projects", {"project": {"name": "x" * 10_000_000}}, 413),
        ("/v3/auth/tokens", {}, 400),
        ("/v3/auth/tokens", LOGIN_WITH_NUL, 400),
        ("/v3/auth/tokens", {"auth": {"identity": {"methods": []}}}, 400),
        ("/v3/auth/tokens", {"auth": {"identity": {"methods": ["totp"]}}}, 401),
        ("/v3/auth/tokens", {"auth": {"identity": {"methods": ["password"]}}}, 400),
        ("/v3/auth/tokens", {"auth": {"identity": {"methods": ["token"], "token": {"id": "x"}}}}, 401),
    ],
)
async def test_wrong_bodies_are_refused_in_the_shape_of_identity(
    cloud: Any, path: str, body: Any, expected: int
) -> None:
    status, said = await cloud.ask("POST", path, body, await cloud.token())
    assert status == expected, said
    assert said["error"]["code"] == expected
    assert said["error"]["title"]
    assert said["error"]["message"]


async def test_a_body_that_is_not_json_and_a_name_with_a_slash(cloud: Any) -> None:
    token = await cloud.token()
    status, _ = await cloud.ask("POST", "/v3/projects", None, token, data=b"{nonsense")
    assert status == 400
    status, said = await cloud.ask("POST", "/v3/projects", {"project": {"name": "../a/b"}}, token)
    assert status == 201
    _, found = await cloud.ask("GET", "/v3/projects?name=../a/b", token=token)
    assert found["projects"][0]["id"] == said["project"]["id"]
