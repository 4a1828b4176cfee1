"""Who has which role."""

from typing import Any


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
