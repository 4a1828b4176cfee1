"""A new password."""

from typing import Any


async def test_a_new_password_ends_the_old_tokens(cloud: Any) -> None:
    demo = await cloud.token("demo", "demo secret")
    user_id = (await cloud.identity.authenticate(demo, "req-1")).user_id
    path = f"/v3/users/{user_id}/password"
    wrong = {"user": {"original_password": "no", "password": "next"}}
    assert (await cloud.ask("POST", path, wrong, demo))[0] == 401
    right = {"user": {"original_password": "demo secret", "password": "next"}}
    assert (await cloud.ask("POST", path, right, await cloud.token()))[0] == 403
    assert (await cloud.ask("POST", path, right, demo))[0] == 204
    assert (await cloud.ask("GET", "/v3/auth/projects", token=demo))[0] == 401
    assert (await cloud.login("demo", "demo secret"))[0] == 401
    assert (await cloud.login("demo", "next"))[0] == 201
