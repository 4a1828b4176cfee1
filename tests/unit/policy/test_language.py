"""What the parts of oslo.policy that are used here answer is what its own enforcer answers, which is not imported."""

from typing import Any

import pytest
from oslo_config import cfg
from oslo_policy import policy as oslo

from novakit.api.service import Service
from novakit.api.services import SERVICES
from novakit.policy.language import Checks, parse
from novakit.policy.personas import PERSONAS, foreign
from novakit.policy.rules import credentials, own

WRITTEN = {
    "everybody": "",
    "nobody": "!",
    "of_system": "system:all",
    "the system's scope": "system_scope:all",
    "nothing of the system": "not system:None",
    "owner": "project_id:%(project_id)s and not role:reader",
    "user by name": "user_id:%(target.user.id)s",
    "a constant": "'member':%(target.role.name)s",
    "inside the token": "token.user.id:%(user_id)s",
    "references": "rule:owner or rule:of_system",
    "reference to nothing": "rule:owner or rule:nowhere",
    "not understood": "role:member and",
    "of the network": "field:networks:shared=True or (rule:owner and @)",
}
"""Checks as operators write them."""


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_every_rule_answers_what_oslo_policys_enforcer_answers(service: Service[Any]) -> None:
    texts = WRITTEN | {rule.name: rule.check for rule in service.policies.values()}
    theirs = oslo.Enforcer(cfg.ConfigOpts(), use_conf=False)
    theirs.set_rules(oslo.Rules.from_dict(texts), use_conf=False)
    ours = Checks.read(texts)
    answers = []
    for persona in PERSONAS.values():
        for target in (own(persona), foreign(), {}):
            for name in texts:
                answer = ours.allow(name, target, credentials(persona))
                assert answer is bool(theirs.enforce(name, dict(target), credentials(persona))), (name, persona)
                answers.append((name, answer))
    decided = {name for name in WRITTEN if {(name, True), (name, False)} <= set(answers)}
    assert decided >= {"of_system", "the system's scope", "owner", "user by name", "references"}


def test_rules_that_say_the_same_are_read_once() -> None:
    read = Checks.read({"a": "role:reader and system_scope:all", "b": "role:reader and system_scope:all"})
    assert read["a"] is read["b"]
    assert parse("role:reader and system_scope:all") is read["a"]
