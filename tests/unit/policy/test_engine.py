"""The engine of the policy: scopes, targets, the operator's file, and what is remembered."""

from typing import Any

import attrs
import pytest

from novakit.api.compute.policies import RULES
from novakit.api.services import SERVICES
from novakit.context import RequestContext
from novakit.policy import Policy, PolicyFile, engine
from novakit.policy.checks import attributes, fault_of, references
from novakit.policy.personas import ME, MINE, PERSONAS, STRANGER, foreign
from novakit.policy.rules import own, table

DELETE, SHOW = "os_compute_api:servers:delete", "os_compute_api:servers:show"


def compute(file: PolicyFile | None = None) -> Policy:
    return Policy("compute", RULES, file or PolicyFile())


def lets(policy: Policy, rule: str) -> set[str]:
    return {name for name, persona in PERSONAS.items() if policy.allows(policy.admitted(persona), rule)}


def test_every_default_is_understood_and_refers_to_rules_of_its_own_table() -> None:
    for service in SERVICES:
        for rule in service.policies.values():
            assert fault_of(rule.check, set(attributes(rule.check))) is None, rule
            assert set(references(rule.check)) <= set(service.policies), rule


def test_a_rule_lets_by_role_and_by_whose_the_thing_is() -> None:
    policy = compute()
    assert lets(policy, DELETE) == {"admin", "manager", "member"}
    assert lets(policy, "os_compute_api:servers:show") == {"admin", "manager", "member", "reader"}
    assert [name for name, who in PERSONAS.items() if policy.allows(policy.admitted(who), DELETE, foreign())] == [
        "admin"
    ]


def test_a_foreign_thing_has_an_owner_wherever_ones_own_has_and_it_is_nobody_who_asks() -> None:
    mine, strange = own(PERSONAS["admin"]), foreign()
    assert {name for name, value in strange.items() if value == STRANGER} == {
        name for name, value in mine.items() if value in (ME, MINE)
    }
    assert {"user_id", "project_id", "owner", "target.user.id"} <= set(strange)


def test_a_check_is_understood_with_fifty_levels_and_refused_with_one_more() -> None:
    assert fault_of(f"{'not ' * 49}role:a") is None
    assert "nested too deep" in str(fault_of(f"{'not ' * 50}role:a"))
    assert fault_of(" and ".join(["role:a"] * 200)) is None


def test_a_token_of_another_scope_or_of_none_meets_no_rule_about_projects() -> None:
    policy = compute()
    for name in ("system admin", "system reader", "unscoped"):
        persona = policy.admitted(PERSONAS[name])
        assert not [rule for rule in RULES.values() if rule.scopes and policy.allows(persona, rule.name)]


def test_a_token_without_a_scope_reads_its_own_user_and_nobody_elses() -> None:
    policy = SERVICES[0].policy()
    nobody = policy.admitted(PERSONAS["unscoped"])
    assert policy.allows(nobody, "identity:get_user", {"target.user.id": nobody.user_id})
    assert not policy.allows(nobody, "identity:get_user", {"target.user.id": "another"})
    assert not policy.allows(nobody, "identity:create_project")


ASKER = RequestContext(
    request_id="", user_id="u", project_id="p", roles={"member"}, user_domain_id="d", project_domain_id="d"
)


@pytest.mark.parametrize(
    ("check", "other"),
    [
        ("user_id:u", {"user_id": "v"}),
        ("project_id:p", {"project_id": "q"}),
        ("role:member", {"roles": frozenset({"reader"})}),
        ("is_admin:False", {"is_admin": True}),
        ("not system_scope:all", {"system": True}),
        ("user_domain_id:d", {"user_domain_id": "e"}),
        ("project_domain_id:d", {"project_domain_id": "e"}),
    ],
)
def test_what_was_decided_about_one_caller_is_not_remembered_of_another_who_differs_in_one_thing(
    check: str, other: dict[str, Any]
) -> None:
    policy = Policy("any", table(("asked", check, (), "")))
    assert policy.allows(ASKER, "asked")
    assert not policy.allows(attrs.evolve(ASKER, **other), "asked")


def test_decisions_about_ever_new_things_are_not_remembered_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "REMEMBERED", 4)
    policy = Policy("any", table(("asked", "project_id:%(project_id)s", (), "")))
    for number in range(10):
        assert not policy.allows(ASKER, "asked", {"project_id": str(number)})
        assert policy.allows(ASKER, "asked", {"project_id": "p"})
    assert len(policy._decided) <= 4


def test_things_that_differ_in_nothing_that_a_rule_asks_for_share_a_decision() -> None:
    rules = table(("asked", "project_id:%(project_id)s or rule:named", (), ""), ("named", "'n':%(name)s", (), ""))
    policy = Policy("any", rules)
    for number in range(5):
        assert not policy.allows(ASKER, "asked", {"project_id": "q", "name": "m", "id": str(number)})
    assert len(policy._decided) == 1
    assert policy.allows(ASKER, "asked", {"project_id": "q", "name": "n", "id": "0"})
    assert policy.asks("asked") == ("name", "project_id")
    with pytest.raises(KeyError):
        policy.allows(ASKER, "nothing", {"project_id": "q"})


def test_what_an_operator_says_otherwise_of_changes_the_rules_that_refer_to_it_and_no_others() -> None:
    file = PolicyFile()
    policy = compute(file)
    assert not policy.changed
    file.overrides = {"project_member_or_admin": "role:a", SHOW: RULES[SHOW].check}
    file.revision += 1
    policy.refresh()
    assert {DELETE, "project_member_or_admin"} <= policy.changed
    assert not {SHOW, "context_is_admin", "os_compute_api:limits"} & policy.changed


def test_a_rule_hangs_on_a_thing_where_the_operator_asks_for_more_than_whose_it_is() -> None:
    file = PolicyFile()
    policy = compute(file)
    for check, hangs in (("role:a and project_id:%(project_id)s", False), ("not 'a':%(name)s", True)):
        file.overrides = {DELETE: check}
        file.revision += 1
        policy.refresh()
        assert policy.hangs_on_more(DELETE) is hangs
        assert not policy.hangs_on_more(SHOW)


@pytest.mark.parametrize(
    ("check", "value", "let"),
    [
        ("field:networks:shared=True", True, True),
        ("field:networks:shared=True", False, False),
        ("field:networks:name=~net", "net-1", True),
        ("field:networks:name=~net", "subnet", False),
        ("field:networks:name=net", "net-1", False),
        ("field:networks:owner=None", None, False),
        ("field:networks:owner=~.*", None, False),
    ],
)
def test_a_field_is_matched_from_its_begin_and_one_that_is_not_there_is_nothing(
    check: str, value: str | bool | None, let: bool
) -> None:
    policy = Policy("any", table(("asked", check, (), "")))
    name = check.partition("=")[0].removeprefix("field:")
    assert policy.allows(ASKER, "asked", {name: value}) is let
    assert not policy.allows(ASKER, "asked", {})


def test_a_manager_reads_the_roles_that_managers_give_and_no_other() -> None:
    policy = SERVICES[0].policy()
    manager = policy.admitted(PERSONAS["manager"])
    assert policy.allows(manager, "identity:get_role"), "there are roles that it may read"
    assert policy.allows(manager, "identity:get_role", {"target.role.name": "reader"})
    assert not policy.allows(manager, "identity:get_role", {"target.role.name": "admin"})
