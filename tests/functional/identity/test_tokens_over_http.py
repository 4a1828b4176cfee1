"""Tokens over HTTP: looked at, exchanged, taken back, and refused once they should be."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from novakit import errors, world
from novakit.identity import Identity


def exchanged(token: str, scope: Any = None) -> dict[str, Any]:
    auth: dict[str, Any] = {"identity": {"methods": ["token"], "token": {"id": token}}}
    if scope:
        auth["scope"] = scope
    return {"auth": auth}


async def _exchange(cloud: Any, token: str, scope: Any = None) -> tuple[int, Any, str]:
    async with cloud.http.post(f"{cloud.url}/v3/auth/tokens", json=exchanged(token, scope)) as answer:
        return answer.status, await answer.json(), answer.headers.get("X-Subject-Token", "")


async def test_an_unscoped_token_becomes_a_scoped_one_that_ends_no_later(cloud: Any) -> None:
    _, first, token = await cloud.login(scope="unscoped")
    assert "project" not in first["token"]
    assert "catalog" not in first["token"]
    scope = {"project": {"name": "admin", "domain": {"name": "Default"}}}
    status, second, _ = await _exchange(cloud, token, scope)
    assert (status, second["token"]["project"]["name"]) == (201, "admin")
    assert second["token"]["methods"] == ["password", "token"]
    assert second["token"]["expires_at"] == first["token"]["expires_at"]
    assert second["token"]["audit_ids"][1] == first["token"]["audit_ids"][0]


async def test_the_system_is_a_scope(cloud: Any) -> None:
    status, said, token = await cloud.login(scope={"system": {"all": True}})
    assert (status, said["token"]["system"]) == (201, {"all": True})
    assert (await cloud.identity.authenticate(token, "req-1")).system


async def test_a_login_without_a_scope_goes_to_the_default_project(cloud: Any) -> None:
    _, said, _ = await cloud.login(scope=None)
    assert said["token"]["project"]["name"] == "admin"


async def test_a_token_is_looked_at_by_its_owner_the_service_and_administrators_only(cloud: Any) -> None:
    admin, demo = await cloud.token(), await cloud.token("demo", "demo secret")
    service = await cloud.with_role("service")
    for asking, subject, expected in (
        (demo, demo, 200),
        (admin, demo, 200),
        (service, demo, 200),
        (demo, admin, 403),
        (admin, "nonsense", 404),
        (demo, "nonsense", 403),
    ):
        for method in ("GET", "HEAD"):
            status, said = await cloud.ask(
                method, "/v3/auth/tokens", token=asking, headers={"X-Subject-Token": subject}
            )
            # The public rule of HEAD leaves the role service out.
            assert status == (403 if (method, asking) == ("HEAD", service) else expected)
    _, said = await cloud.ask("GET", "/v3/auth/tokens?nocatalog", token=demo, headers={"X-Subject-Token": demo})
    assert said["token"]["user"]["name"] == "demo"
    assert "catalog" not in said["token"]


async def test_a_token_that_was_taken_back_is_refused(cloud: Any) -> None:
    demo = await cloud.token("demo", "demo secret")
    assert (await cloud.ask("GET", "/v3/auth/projects", token=demo))[0] == 200
    other = await cloud.token("demo", "demo secret")
    status, _ = await cloud.ask("DELETE", "/v3/auth/tokens", token=demo, headers={"X-Subject-Token": demo})
    assert status == 204
    assert (await cloud.ask("GET", "/v3/auth/projects", token=demo))[0] == 401
    assert (await cloud.ask("GET", "/v3/auth/projects", token=other))[0] == 200


async def test_a_token_is_refused_once_its_user_or_project_is_disabled_or_its_role_gone(cloud: Any) -> None:
    admin = await cloud.token()
    users = (await cloud.ask("GET", "/v3/users?name=demo", token=admin))[1]["users"]
    projects = (await cloud.ask("GET", "/v3/projects?name=demo", token=admin))[1]["projects"]
    roles = (await cloud.ask("GET", "/v3/roles?name=member", token=admin))[1]["roles"]
    user, project, role = f"/v3/users/{users[0]['id']}", f"/v3/projects/{projects[0]['id']}", roles[0]["id"]

    async def works(token: str) -> bool:
        return bool((await cloud.ask("GET", "/v3/auth/projects", token=token))[0] == 200)

    demo = await cloud.token("demo", "demo secret")
    assert await works(demo)
    await cloud.ask("PATCH", project, {"project": {"enabled": False}}, admin)
    assert not await works(demo)
    await cloud.ask("PATCH", project, {"project": {"enabled": True}}, admin)
    assert await works(demo)
    await cloud.ask("DELETE", f"{project}/users/{users[0]['id']}/roles/{role}", token=admin)
    assert not await works(demo)
    await cloud.ask("PUT", f"{project}/users/{users[0]['id']}/roles/{role}", token=admin)
    assert await works(demo)
    await cloud.ask("PATCH", user, {"user": {"enabled": False}}, admin)
    assert not await works(demo)
    assert (await cloud.login("demo", "demo secret"))[0] == 401
    await cloud.ask("PATCH", user, {"user": {"enabled": True}}, admin)
    assert not await works(demo)
    assert await works(await cloud.token("demo", "demo secret"))


async def test_another_process_notices_within_seconds(cloud: Any) -> None:
    """It believes what it knows for a moment, and asks again after that."""
    identity: Identity = cloud.identity
    demo = await cloud.token("demo", "demo secret")
    clock = Monotonic()
    with world.using(clock):
        other = Identity(identity.store, identity.keys, identity.endpoints)
        await other.authenticate(demo, "req-1")
        await identity.revoke(demo)
        await other.authenticate(demo, "req-2")
        clock.ahead = 5.0
        with pytest.raises(errors.Unauthorized):
            await other.authenticate(demo, "req-3")


async def test_a_known_token_costs_no_query_and_still_ends_in_time(cloud: Any) -> None:
    identity: Identity = cloud.identity
    demo = await cloud.token("demo", "demo secret")
    await identity.authenticate(demo, "req-1")
    broken = Identity(identity.store, identity.keys, identity.endpoints)
    broken._known = identity._known
    broken.store = None  # type: ignore[assignment]
    answers = await asyncio.gather(*(broken.authenticate(demo, f"req-{n}") for n in range(100)))
    assert [answer.request_id for answer in answers] == [f"req-{n}" for n in range(100)]
    clock = Monotonic()
    clock.later = timedelta(hours=2)
    with world.using(clock), pytest.raises(errors.Unauthorized, match="expired"):
        await broken.authenticate(demo, "req-1")


class Monotonic(world.SystemWorld):
    ahead = 0.0
    later = timedelta()

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead

    def now(self) -> Any:
        return super().now() + self.later


async def test_so_many_tokens_of_a_user_are_revoked_and_others_are_not_kept_waiting(
    cloud: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("novakit.identity.service.MOST_REVOKED", 2)
    demo = [await cloud.token("demo", "demo secret") for _ in range(3)]
    for token in demo[:2]:
        await cloud.identity.revoke(token)
    with pytest.raises(errors.TooMany, match="2 tokens"):
        await cloud.identity.revoke(demo[2])
    await cloud.identity.revoke(await cloud.token())
    assert (await cloud.identity.authenticate(demo[2], "req-1")).user_name == "demo"
