"""Every route of every service, asked by every persona, about its own, a foreign and an absent thing.

What must come is read from the policy tables, never from the answers.
"""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from novakit.api import services
from novakit.api.service import Service
from novakit.api.services import SERVICES, default_checks
from novakit.context import RequestContext, Target
from novakit.policy import Policy, PolicyFile, PolicyRule
from novakit.policy.personas import MINE, PERSONAS, STRANGER, foreign
from novakit.policy.rules import GIVEN
from tests.functional.policy.cloud import Answer, Cloud
from tests.functional.policy.requests import Ask, asks

EVERY = [(service, route) for service in SERVICES for route in service.routes if not route.public]
CHANGES = ("POST", "PUT", "PATCH", "DELETE")
MAY_BE_ABSENT = re.compile(
    r"os-interface/\{port\}|ips/\{network\}|os-instance-actions/\{request\}|/decisions/|/volumes/\{id\}"
    r"|_router_interface|/extensions|/allocations/\{consumer_uuid\}|auth/tokens|/roles|/domains/|/os-extra_specs/"
    r"|/tags|/members|os-flavor-access|/v1/explain|/v1/capacity"
    r"|action removeTenantAccess|action removeSecurityGroup"
)
"""Routes whose last part names something that was not made: their 404 does not say that the thing before it is."""


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[Cloud]:
    opened = await Cloud.open(tmp_path)
    yield opened
    await opened.store.close()


def _same_path(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", path.removeprefix("/v2.1").removeprefix("/v2.0").rstrip("/"))


def test_every_route_names_a_rule_that_says_it_is_about_this_route() -> None:
    for service, route in EVERY:
        rules = [route.rule] if route.rule else list(route.rules.values())
        assert rules, f"{service.name}: {route.method} {route.path} names no rule"
        for rule in rules:
            assert rule in service.policies, f"{service.name}: {rule} of {route.path} is in no table"
            told = [operation.split(" (")[0] for operation in service.policies[rule].operations]
            about = {tuple(one.split(" ", 1)) for one in told if " /" in one}
            known = {(method, _same_path(path)) for method, path in about}
            short = re.sub(r"^/v3(/\{project\})?(?=/.)", "", route.path) if service.name == "volume" else route.path
            wanted = ("GET" if route.method == "HEAD" and "auth" not in short else route.method, _same_path(short))
            assert wanted in known or route.method == "*", f"{rule} does not say that it is about {wanted}: {known}"


OPEN = re.compile(r"identity:revoke_token|novakit:change_password|novakit:explain$|os_compute_api:os-keypairs:.*")
"""What a reader changes: its own token, password and key pairs; and what changes nothing though it is a POST."""


def test_a_reader_changes_nothing_and_tokens_of_no_project_meet_no_rule_about_projects() -> None:
    for service in SERVICES:
        policy = service.policy()
        for ask in asks(service):
            if ask.method in CHANGES and not OPEN.fullmatch(ask.rule):
                assert not policy.allows(policy.admitted(PERSONAS["reader"]), ask.rule), ask.name
                assert not policy.allows(policy.admitted(PERSONAS["no role"]), ask.rule), ask.name
            if ask.method in CHANGES:
                assert not policy.allows(policy.admitted(PERSONAS["member"]), ask.rule, foreign()), ask.name
                for name in ("unscoped", "system admin", "system reader"):
                    is_own = ask.rule in ("identity:revoke_token", "novakit:change_password")
                    if service.name != "identity" or (name != "system admin" and not is_own):
                        assert not policy.allows(policy.admitted(PERSONAS[name]), ask.rule), (name, ask.name)


def _plain(answer: Answer, *paths: str) -> tuple[int, bytes]:
    """Give what an answer says, without the ids that were asked for."""
    body = answer.body
    for path in paths:
        for part in sorted(path.split("/"), key=len, reverse=True):
            if len(part) > 20 or part in (MINE, STRANGER):
                body = body.replace(part.encode(), b"*")
    return answer.status, re.sub(rb"req-[0-9a-f-]+", b"", body)


async def _check(cloud: Cloud, policy: Policy, ask: Ask, name: str) -> list[str]:
    """Ask as one persona about everything; say what is not as the table says."""
    known, wrong = policy.admitted(PERSONAS[name]), []
    may_own = policy.allows(known, ask.rule)
    may_foreign = policy.allows(known, ask.rule, foreign())
    answers: dict[str, Answer] = {}
    paths: dict[str, str] = {}
    for which, whose in (("own", MINE), ("foreign", STRANGER), ("absent", None)):
        if which != "own" and (
            not (ask.is_owned or "{" in ask.route.path) or (which == "foreign" and not ask.is_owned)
        ):
            continue
        paths[which] = path = await ask.path(cloud, whose)
        headers = await ask.headers(cloud, whose)
        answers[which] = answer = await cloud.ask(name, ask.method, path, ask.body(cloud), headers)
        uses_up = ask.method == "DELETE" or ask.rule == "novakit:image-files:adopt"
        if uses_up and answer.status < 300 and whose is not None:
            for kind in ask.kinds.values():
                cloud.gone(kind, whose)
        said = f"{name}: {ask.name} {ask.action or ''} {which}: {answer.status} {answer.body[:160]!r}"
        if answer.status >= 500 and answer.status not in (501, 503):
            wrong.append(said)
        elif not may_own:
            if answer.status != 403:
                wrong.append(f"{said}, though {ask.rule} lets it do this to nothing")
        elif which == "own" or (which == "foreign" and may_foreign):
            hidden = {401, 403} if MAY_BE_ABSENT.search(f"{ask.route.path} {ask.action}") else {401, 403, 404}
            # A wrong password is 401 to whom it belongs.
            if answer.status in hidden - ({401} if ask.rule == "novakit:change_password" else set()):
                wrong.append(f"{said}, though {ask.rule} lets it")
        elif which == "foreign" and answer.status not in (403, 404):
            wrong.append(f"{said}, though it is not its own")
        elif which == "absent" and may_foreign and answer.status in (401, 403):
            wrong.append(f"{said}, though {ask.rule} lets it")
    if "foreign" in answers and not (may_own and may_foreign):
        told = {which: _plain(answers[which], *paths.values()) for which in ("foreign", "absent")}
        if told["foreign"] != told["absent"]:
            wrong.append(f"{name}: {ask.name} {ask.action or ''} tells what is there: {told}")
    return wrong


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
async def test_every_answer_is_the_one_that_the_table_says(
    cloud: Cloud, service: Service[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    policy, wrong = service.policy(), []
    told: set[str] = set()
    decide = Policy._decide

    def heard(self: Policy, context: RequestContext, rule: PolicyRule, target: Target | None) -> bool:
        told.update(target or ())
        return decide(self, context, rule, target)

    monkeypatch.setattr(Policy, "_decide", heard)
    for ask in asks(service):
        path = await ask.path(cloud, MINE)
        for token in (None, "garbage"):
            answer = await cloud.ask(token, ask.method, path, ask.body(cloud), await ask.headers(cloud, MINE))
            if answer.status != 401:
                wrong.append(f"{token}: {ask.name}: {answer.status}")
        for name in PERSONAS:
            wrong += await _check(cloud, policy, ask, name)
    assert not wrong, f"{len(wrong)} answers:\n" + "\n".join(wrong)
    known = GIVEN.union(*services.told().values())
    assert told <= known, told - known


async def test_an_operators_rule_is_asked_about_the_thing_itself(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text("""
"os_compute_api:servers:delete": "user_id:%(user_id)s"
"delete_image": "'private':%(visibility)s"
"identity:get_user": "user_id:%(target.user.id)s"
"create_port:mac_address": "not field:networks:shared=True"
""")
    cloud = await Cloud.open(tmp_path, PolicyFile.open(path, required=True, known=default_checks()))
    for kind, place in (
        ("server", "compute/v2.1/servers"),
        ("image", "image/v2/images"),
        ("user", "identity/v3/users"),
    ):
        foreign = await cloud.thing(kind, STRANGER)
        own = await cloud.thing(kind, MINE)
        verb = "GET" if kind == "user" else "DELETE"
        assert (await cloud.ask("admin", verb, f"/{place}/{foreign}")).status == 403, kind
        allowed = {"server": 204, "image": 403, "user": 200}[kind]
        assert (await cloud.ask("member", verb, f"/{place}/{own}")).status == allowed, kind
    for shared, expected in ((True, 403), (False, 201)):
        asked = {"network": {"name": "n", "shared": shared}}
        network = (await cloud.make(MINE, "/network/v2.0/networks", asked))["network"]["id"]
        port = {"port": {"network_id": network, "mac_address": "fa:16:3e:00:00:01"}}
        assert (await cloud.ask("member", "POST", "/network/v2.0/ports", port)).status == expected
    await cloud.store.close()
