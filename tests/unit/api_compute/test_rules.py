"""A record holds its rules whole: the policy table reads them from there, and refuses what cannot be right."""

import re

import attrs
import pytest

from novakit.api.compute.policies import RULES
from novakit.api.compute.schemas import not_served
from novakit.api.compute.servers.actions import EVERY, PLAIN
from novakit.api.compute.servers.rules import with_rules_of
from novakit.compute.rules import ADMIN, MEMBER, ActionRule
from novakit.conductor.verb import Action, FieldRule, OwnRoute
from novakit.policy import PROJECT, table

TABLE = table(
    ("context_is_admin", "role:admin", (), ""),
    ("project_member_or_admin", "role:member or rule:context_is_admin", (), ""),
    ("os_compute_api:servers:show", MEMBER, PROJECT, "GET /servers/{id}"),
    ("os_compute_api:os-remote-consoles", MEMBER, PROJECT, "POST /servers/{id}/remote-consoles"),
)
CHIME = Action(name="chime", rule=ActionRule("os_compute_api:os-chime:chime", MEMBER))


def ruled(name: str, check: str = MEMBER) -> Action:
    """Make the record of another rule for the same action."""
    return attrs.evolve(CHIME, rule=ActionRule(name, check))


def test_each_rule_of_an_action_becomes_a_row_about_it() -> None:
    loud, again = ActionRule("os_compute_api:os-chime:loud", ADMIN), ActionRule("novakit:servers:chime:again", ADMIN)
    fields = (FieldRule("volume", (2, 1), loud), FieldRule("pitch", (2, 1), loud))
    made = with_rules_of([attrs.evolve(CHIME, fields=fields, asks=(again,))], [], TABLE)
    about = "POST /servers/{id}/action (chime)"
    assert [(rule.name, rule.check, rule.scopes, rule.operations) for rule in [*made.values()][len(TABLE) :]] == [
        ("os_compute_api:os-chime:chime", MEMBER, PROJECT, (about,)),
        ("os_compute_api:os-chime:loud", ADMIN, PROJECT, (about,)),
        ("novakit:servers:chime:again", ADMIN, PROJECT, (about,)),
    ]


def test_the_rule_of_a_route_of_its_own_is_about_that_route() -> None:
    route = OwnRoute(method="DELETE", path="/servers/{id}", rule=ActionRule("os_compute_api:servers:delete", MEMBER))
    made = with_rules_of([route], [], TABLE)
    assert made["os_compute_api:servers:delete"].operations == ("DELETE /servers/{id}",)


@pytest.mark.parametrize(
    ("name", "check", "why"),
    [
        ("os_compute_api:servers:show", MEMBER, r"is the rule of GET /servers/\{id\}: copy the public name"),
        ("os_compute_api:os-bell:bell", MEMBER, r"is the rule of POST /servers/\{id\}/action \(bell\): copy"),
        ("context_is_admin", MEMBER, "is the rule of other rules, which refer to it"),
        ("os-chime:chime", MEMBER, "copy the public one, which begins with os_compute_api:"),
        ("os_compute_api:", MEMBER, "copy the public one, which begins with os_compute_api:"),
        ("os_compute_api:os-chime:chime", "role=member", r"is not understood.*take one of novakit/compute/rules\.py"),
        ("os_compute_api:os-chime:chime", "rule:owner", r"refers to owner, .*take one of novakit/compute/rules\.py"),
    ],
)
def test_a_rule_that_cannot_be_right_is_refused_at_the_start_with_where_to_mend_it(
    name: str, check: str, why: str
) -> None:
    bell = Action(name="bell", rule=ActionRule("os_compute_api:os-bell:bell", MEMBER))
    with pytest.raises(ValueError, match=why) as refused:
        with_rules_of([bell, ruled(name, check)], [], TABLE)
    said = str(refused.value)
    assert said.startswith(f"The record of POST /servers/{{id}}/action (chime) has the rule {name}")
    assert "novakit/conductor/verbs/" in said


def test_a_rule_for_a_field_or_for_later_is_not_that_of_another_action() -> None:
    mine = ActionRule("os_compute_api:os-bell:bell", MEMBER)
    bell = Action(name="bell", rule=mine)
    for changes in ({"fields": (FieldRule("volume", (2, 1), mine),)}, {"asks": (mine,)}):
        with pytest.raises(ValueError, match=r"is the rule of POST .* \(bell\)"):
            with_rules_of([bell, attrs.evolve(CHIME, **changes)], [], TABLE)


def test_actions_that_are_not_served_share_a_rule_with_one_default() -> None:
    names = ("os-getOneConsole", "os-getOtherConsole")
    consoles = [attrs.evolve(ruled("os_compute_api:os-remote-consoles"), name=name) for name in names]
    made = with_rules_of([], consoles, TABLE)["os_compute_api:os-remote-consoles"]
    assert made.operations == (
        "POST /servers/{id}/remote-consoles",
        *(f"POST /servers/{{id}}/action ({name})" for name in names),
    )
    with pytest.raises(ValueError, match=r"its default is .*, and for POST /servers/\{id\}/remote-consoles another"):
        with_rules_of([], [ruled("os_compute_api:os-remote-consoles", ADMIN)], TABLE)


def test_an_action_that_is_served_and_still_stands_among_those_that_are_not_is_refused_at_the_start() -> None:
    with pytest.raises(ValueError, match="it is served: take its record out of those that are not"):
        with_rules_of([CHIME], [CHIME], TABLE)


def test_every_action_has_its_rule_and_no_other_row_says_it_a_second_time() -> None:
    for action in EVERY.values():
        assert action.operation in RULES[action.rule.name].operations
        assert RULES[action.rule.name].check == action.rule.check
    asked = {rule.name for action in EVERY.values() for rule in action.rules}
    told = {
        rule.name for rule in RULES.values() if any(re.match(r"POST /servers/{id}/action ", o) for o in rule.operations)
    }
    assert told == asked
    assert not PLAIN.keys() & not_served.ACTIONS.keys()
