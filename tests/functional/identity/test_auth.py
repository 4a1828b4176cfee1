"""Logins and what they give."""

from typing import Any

import pytest

from novakit.identity import Identity


async def test_a_password_gives_a_scoped_token_with_roles_and_catalog(cloud: Any) -> None:
    status, said, token = await cloud.login()
    assert status == 201
    assert token
    body = said["token"]
    assert body["project"]["name"] == "admin"
    assert [role["name"] for role in body["roles"]] == ["admin", "manager", "member", "reader"]
    urls = {service["type"]: service["endpoints"][0]["url"] for service in body["catalog"]}
    assert urls["identity"] == cloud.url
    assert urls["volumev3"].endswith(f"/volume/v3/{body['project']['id']}")
    assert body["expires_at"].endswith("Z")


async def test_a_token_authenticates_its_user_and_project(cloud: Any) -> None:
    context = await cloud.identity.authenticate(await cloud.token("demo", "demo secret"), "req-1")
    assert (context.user_name, context.project_name, context.request_id) == ("demo", "demo", "req-1")
    assert context.roles == {"member", "reader"}
    assert not context.is_admin


async def test_wrong_passwords_unknown_users_and_foreign_projects_are_refused_alike(cloud: Any) -> None:
    foreign = {"project": {"name": "admin", "domain": {"id": "default"}}}
    answers = [
        await cloud.login("admin", "wrong"),
        await cloud.login("nobody", "wrong", scope=foreign),
        await cloud.login("demo", "demo secret", scope=foreign),
        await cloud.login("demo", "demo secret", scope={"project": {"id": "absent"}}),
        await cloud.login("demo", "demo secret", scope={"system": {"all": True}}),
    ]
    assert [status for status, _, _ in answers] == [401] * 5
    assert len({said["error"]["message"] for _, said, _ in answers}) == 1


async def test_another_process_with_the_same_keys_believes_the_token(cloud: Any) -> None:
    identity: Identity = cloud.identity
    other = Identity(identity.store, identity.keys, identity.endpoints)
    assert (await other.authenticate(await cloud.token(), "req-1")).user_name == "admin"


async def test_whoever_guesses_a_password_is_made_to_wait(cloud: Any) -> None:
    for user in ("demo", "nobody-of-that-name"):
        assert [(await cloud.login(user, "wrong"))[0] for _ in range(6)] == [401] * 5 + [429]
    assert (await cloud.login())[0] == 201


async def test_whoever_guesses_is_made_to_wait_alike_under_both_names_of_a_domain(cloud: Any) -> None:
    """Else it would show who exists: a user has one count, and a name that nobody has had one for each."""
    for user in ("demo", "nobody-of-that-name"):
        for number in range(5):
            domain = {"id": "default"} if number % 2 else {"name": "Default"}
            assert (await cloud.login(user, "wrong", domain=domain))[0] == 401
        for domain in ({"id": "default"}, {"name": "Default"}):
            assert (await cloud.login(user, "wrong", domain=domain))[0] == 429, (user, domain)


USER = {"name": "demo", "domain": {"id": "default"}, "password": "demo secret"}


def proof(user: Any) -> dict[str, Any]:
    return {"methods": ["password"], "password": {"user": user}}


@pytest.mark.parametrize(
    ("identity", "scope", "status", "told"),
    [
        ({"methods": ["password"]}, None, 400, "Expecting to find password in identity."),
        ({"methods": ["token", "token"]}, None, 400, "Expecting to find token in identity."),
        (proof({"password": "x"}), None, 400, "Expecting to find id or name in user."),
        (proof({**USER, "domain": {}}), None, 400, "Expecting to find domain in user."),
        (proof({**USER, "domain": {"id": "", "name": ""}}), None, 400, "Expecting to find domain in user."),
        (proof({"name": "demo", "password": "x"}), None, 400, "Expecting to find domain in user."),
        (proof({"id": "x"}), None, 400, "identity.password.user: 'password' is a required property."),
        (proof(USER), {"project": {}}, 400, "Expecting to find id or name in project."),
        (proof(USER), {"project": {"name": "demo"}}, 400, "Expecting to find domain in project."),
        (proof(USER), {"system": {}}, 400, 'Expecting to find {"all": true} in system.'),
        (proof(USER), {"system": {"all": False}}, 400, 'Expecting to find {"all": true} in system.'),
        (proof(USER), "all", 400, "Invalid input for auth.scope: it must be an object or the string unscoped."),
        (proof(USER), {"domain": {"id": "default"}}, 401, "There are no roles on domains here"),
        ({"methods": ["password", "token"]}, None, 401, "Attempted to authenticate with an unsupported method"),
        (proof({**USER, "domain": {"id": "", "name": "Default"}}), None, 201, ""),
    ],
)
async def test_a_login_is_held_to_its_schema_in_the_words_of_the_service(
    cloud: Any, identity: Any, scope: Any, status: int, told: str
) -> None:
    auth = {"identity": identity} if scope is None else {"identity": identity, "scope": scope}
    answer, said = await cloud.ask("POST", "/v3/auth/tokens", {"auth": auth})
    assert (answer, told in said.get("error", {}).get("message", "")) == (status, True), said
