"""Security groups."""

from typing import Any


async def test_a_project_has_a_default_group_from_the_first_look(cloud: Any) -> None:
    (group,) = (await cloud.call("GET", "security-groups"))[1]["security_groups"]
    assert group["name"] == "default"
    trusts = {rule["remote_group_id"] for rule in group["security_group_rules"] if rule["direction"] == "ingress"}
    assert trusts == {group["id"]}
    refusal = await cloud.refused("POST", "security-groups", {"security_group": {"name": "default"}})
    assert refusal == (409, "SecurityGroupDefaultAlreadyExists")
    assert (await cloud.refused("DELETE", f"security-groups/{group['id']}"))[1] == "SecurityGroupCannotRemoveDefault"
