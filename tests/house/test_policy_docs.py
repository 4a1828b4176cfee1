"""Rules have the public names and defaults, and the page of the policy lists those that have not, and them alone.

The public ones lie in `public_policies`, by service, each file as an operator's policy.yaml would have them.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest
import yaml

from novakit.api.service import Service
from novakit.api.services import SERVICES, default_checks, told
from novakit.context import Target
from novakit.policy import Policy, PolicyFile, table
from novakit.policy.personas import ME, MINE, PERSONAS, STRANGER

PUBLIC: Mapping[str, Mapping[str, str]] = {
    path.stem: yaml.safe_load(path.read_text()) for path in (Path(__file__).parent / "public_policies").glob("*.yaml")
}
"""By service, the check of each rule by its name."""
PAGE = (Path(__file__).parents[2] / "docs/reference/policy.md").read_text()
BY_NAME = {service.name: service for service in SERVICES}


@attrs.frozen
class Differs:
    """A caller who is answered otherwise by the public default of a rule than here."""

    persona: str
    about: Target
    here: bool
    """Whether the default here lets that caller."""


DIFFERENT: Mapping[tuple[str, str], Differs] = {
    ("network", "create_port"): Differs(
        "reader", {"project_id": MINE, "network:project_id": STRANGER, "networks:shared": True}, here=False
    ),
    ("network", "delete_port"): Differs(
        "member", {"project_id": MINE, "network:project_id": MINE, "port:device_owner": "compute:nova"}, here=True
    ),
    ("network", "get_quota"): Differs("reader", {"project_id": MINE}, here=True),
    ("network", "service_api"): Differs("service", {}, here=False),
    ("identity", "list_role_assignments"): Differs("member", {"target.user.id": ME}, here=True),
}
"""By service and rule, without the `identity:` of identity's rules."""


def listed() -> set[tuple[str, str]]:
    """Give service and rule of each row of the table."""
    _, _, section = PAGE.partition("## Where the defaults differ from the public ones")
    rows = re.findall(r"^\| (`[^|]+`[^|]*) \|", section.partition("\n## ")[0], re.MULTILINE)
    found = [re.fullmatch(r"`(?:identity:)?(\w+)` of (?:the )?(\w+)", row) for row in rows]
    assert all(found), rows
    return {(match[2], match[1]) for match in found if match}


FORMER = {"os_compute_api:os-admin-actions:reset_network"}
"""Public names of earlier versions, which the page explains."""


def public(service: str) -> Mapping[str, str]:
    """Give the public rules of a service; ours beside it has some of the compute API's."""
    return PUBLIC["compute" if service == "novakit" else service]


@pytest.mark.parametrize("service", [one for one in SERVICES if one.name != "volume"], ids=lambda one: one.name)
def test_a_rule_has_the_name_and_the_default_of_the_public_one_or_a_row_on_the_page(service: Service[Any]) -> None:
    """Volumes are not served: the rules of that service are asked before it says so."""
    known = public(service.name)
    own = {name: rule.check for name, rule in service.policies.items() if not name.startswith("novakit:")}
    assert own.keys() - known.keys() == FORMER & own.keys()
    differing = {name.removeprefix("identity:") for name, check in own.items() if known.get(name, check) != check}
    assert differing == {rule for name, rule in DIFFERENT if name == service.name}


@pytest.mark.parametrize("name", FORMER)
def test_a_name_that_is_no_more_public_is_explained(name: str) -> None:
    assert f"`{name}` keeps the name that it had" in PAGE


@pytest.mark.parametrize("service", sorted(PUBLIC))
def test_an_operators_file_may_have_every_public_rule(service: str) -> None:
    path = Path(__file__).parent / "public_policies" / f"{service}.yaml"
    file = PolicyFile.open(path, required=True, known=default_checks(), told=told())
    assert file.overrides == PUBLIC[service]
    assert not set(file.unknown) & BY_NAME[service].policies.keys()


@pytest.mark.parametrize("block", re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
def test_a_file_that_the_page_shows_is_taken(tmp_path: Path, block: str) -> None:
    (tmp_path / "policy.yaml").write_text(block)
    file = PolicyFile.open(tmp_path / "policy.yaml", required=True, known=default_checks(), told=told())
    assert file.overrides and not file.unknown


def test_the_rows_are_the_rules_that_differ() -> None:
    assert listed() == set(DIFFERENT)


@pytest.mark.parametrize("key", DIFFERENT, ids=" ".join)
def test_a_rule_with_a_row_lets_others_than_the_public_default_does(key: tuple[str, str]) -> None:
    service, differs = BY_NAME[key[0]], DIFFERENT[key]
    rule = f"identity:{key[1]}" if service.name == "identity" else key[1]
    theirs = table((rule, public(service.name)[rule], service.policies[rule].scopes, ""))
    others = table(*((name, check, (), "") for name, check in public(service.name).items()))
    for policy, lets in (
        (service.policy(), differs.here),
        (Policy("public", {**others, **service.policies, **theirs}), not differs.here),
    ):
        assert policy.allows(policy.admitted(PERSONAS[differs.persona]), rule, differs.about) is lets
