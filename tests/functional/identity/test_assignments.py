"""Who has which role."""

from typing import Any

import pytest


async def test_assignments_are_listed_with_names_and_implied_roles(cloud: Any) -> None:
    token = await cloud.token()
    demo = (await cloud.ask("GET", "/v3/users?name=demo", token=token))[1]["users"][0]["id"]
    _, said = await cloud.ask("GET", f"/v3/role_assignments?user.id={demo}&include_names", token=token)
    (one,) = said["role_assignments"]
    assert one["role"]["name"] == "member"
    assert one["user"]["domain"] == {"id": "default", "name": "Default"}
    assert one["scope"]["project"]["name"] == "demo"
    _, said = await cloud.ask("GET", f"/v3/role_assignments?user.id={demo}&effective=True&include_names=1", token=token)
    assert [each["role"]["name"] for each in said["role_assignments"]] == ["member", "reader"]
    assert "prior_role" in said["role_assignments"][1]["links"]
    _, said = await cloud.ask("GET", "/v3/role_assignments?scope.system", token=token)
    assert said["role_assignments"][0]["scope"] == {"system": {"all": True}}


@pytest.mark.parametrize(
    "query",
    [
        "tags=blue",
        "=1",
        "user.id=a&user.id=b",
        "limit=1",
        "user.name=admin",
        "scope.system=maybe",
        "effective=maybe",
        "include_names=2",
        "include_subtree",
        "user.id=a&group.id=b",
        "effective&group.id=b",
        "effective=1&scope.OS-INHERIT:inherited_to=projects",
        "scope.OS-INHERIT:inherited_to=users",
        "scope.project.id=a&scope.domain.id=b",
        "scope.project.id=a&scope.system",
    ],
)
async def test_what_no_assignment_can_be_is_refused(cloud: Any, query: str) -> None:
    status, said = await cloud.ask("GET", f"/v3/role_assignments?{query}", token=await cloud.token())
    assert status == 400, said
    assert query.rpartition("&")[2].partition("=")[0] in said["error"]["message"]


@pytest.mark.parametrize("query", ["group.id=a", "scope.domain.id=default", "scope.OS-INHERIT:inherited_to=projects"])
async def test_nobody_else_is_given_roles(cloud: Any, query: str) -> None:
    status, said = await cloud.ask("GET", f"/v3/role_assignments?{query}", token=await cloud.token())
    assert (status, said["role_assignments"]) == (200, [])


async def test_assignments_below_a_project_are_listed_with_its_own(cloud: Any) -> None:
    token = await cloud.token()
    users = (await cloud.ask("GET", "/v3/users?name=demo", token=token))[1]["users"]
    roles = {one["name"]: one["id"] for one in (await cloud.ask("GET", "/v3/roles", token=token))[1]["roles"]}
    places = {}
    for name, parent in (("top", None), ("middle", "top"), ("low", "middle"), ("aside", None)):
        more = {"parent_id": places[parent]} if parent else {}
        made = (await cloud.ask("POST", "/v3/projects", {"project": {"name": name, **more}}, token))[1]
        places[name] = made["project"]["id"]
        place = f"/v3/projects/{places[name]}/users/{users[0]['id']}/roles/{roles['reader']}"
        assert (await cloud.ask("PUT", place, token=token))[0] == 204
    named = {place: name for name, place in places.items()}
    for query, found in (
        (f"scope.project.id={places['middle']}", {"middle"}),
        (f"scope.project.id={places['middle']}&include_subtree=False", {"middle"}),
        (f"scope.project.id={places['middle']}&include_subtree", {"middle", "low"}),
        (f"scope.project.id={places['top']}&include_subtree=1&role.id={roles['reader']}", {"top", "middle", "low"}),
        (f"scope.project.id={places['top']}&include_subtree=1&role.id={roles['member']}", set()),
        (f"scope.system=all&user.id={users[0]['id']}", set()),
    ):
        _, said = await cloud.ask("GET", f"/v3/role_assignments?{query}", token=token)
        assert {named[one["scope"]["project"]["id"]] for one in said["role_assignments"]} == found, query
