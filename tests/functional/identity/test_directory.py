"""Projects, users, roles, assignments, services, endpoints: by administrators, with the ordinary tools."""

from typing import Any


async def test_the_command_line_administers(cloud: Any) -> None:
    await cloud.cli("project", "create", "--description", "a team", "team")
    assert "a team" in await cloud.cli("project", "show", "team", "-f", "value")
    assert "team" in await cloud.cli("project", "list", "-f", "value", "-c", "Name")
    await cloud.cli("user", "create", "--project", "team", "--password", "hers", "alice")
    assert "alice" in await cloud.cli("user", "list", "-f", "value", "-c", "Name")
    await cloud.cli("role", "add", "--project", "team", "--user", "alice", "member")
    listed = await cloud.cli("role", "assignment", "list", "--names", "--user", "alice", "-f", "value")
    assert "member" in listed
    assert "team@Default" in listed
    await cloud.cli("role", "remove", "--project", "team", "--user", "alice", "member")
    await cloud.cli("user", "delete", "alice")
    await cloud.cli("project", "delete", "team")
    assert "team" not in await cloud.cli("project", "list", "-f", "value", "-c", "Name")
    assert "identity" in await cloud.cli("endpoint", "list", "-f", "value")
    assert "compute" in await cloud.cli("service", "list", "-f", "value")


async def test_what_the_directory_tells_of_users_holds_no_hash_of_a_password(cloud: Any) -> None:
    users = await cloud.identity.directory.listed("users")
    assert users and all("$" not in str(user) and "password_hash" not in user.values for user in users)
