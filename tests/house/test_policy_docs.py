"""The page of the policy lists the rules whose default is not the public one, and those alone.

The public defaults are those of keystone 30 and neutron 29; those of nova 34 and glance 33 are taken as they are.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import attrs
import pytest

from novakit.api.services import SERVICES
from novakit.context import Target
from novakit.policy import Policy, table
from novakit.policy.personas import ME, MINE, PERSONAS, STRANGER

PAGE = (Path(__file__).parents[2] / "docs/reference/policy.md").read_text()
BY_NAME = {service.name: service for service in SERVICES}


@attrs.frozen
class Differs:
    """The public default of a rule, and a caller who is answered otherwise by it than here."""

    public: str
    persona: str
    about: Target
    here: bool
    """Whether the default here lets that caller."""


OWN_NETWORK = {"project_id": MINE, "network:project_id": MINE}
DELETE_PORT = "role:member and rule:network_owner or role:member and project_id:%(project_id)s"
DIFFERENT: Mapping[tuple[str, str], Differs] = {
    ("network", "create_port"): Differs(
        "(rule:admin_only) or (rule:service_api) or role:member and rule:network_owner or rule:shared",
        "reader",
        {"project_id": MINE, "network:project_id": STRANGER, "networks:shared": True},
        here=False,
    ),
    ("network", "delete_port"): Differs(
        f"(rule:admin_only) or (rule:service_api) or (service_roles:service and ({DELETE_PORT}))"
        f" or (not field:port:device_owner=~^compute: and not field:port:device_owner=~^baremetal: and"
        f" not field:port:device_owner=~^manila: and ({DELETE_PORT}))",
        "member",
        {**OWN_NETWORK, "port:device_owner": "compute:nova"},
        here=True,
    ),
    ("network", "get_quota"): Differs(
        "(rule:admin_only) or (role:manager and project_id:%(project_id)s)", "reader", {"project_id": MINE}, here=True
    ),
    ("network", "service_api"): Differs("role:service", "service", {}, here=False),
    ("identity", "list_role_assignments"): Differs(
        "(rule:admin_required) or (role:reader and system_scope:all) or"
        " (role:reader and domain_id:%(target.domain_id)s and not None:%(target.domain_id)s)",
        "member",
        {"target.user.id": ME},
        here=True,
    ),
}
"""By service and rule, without the `identity:` of identity's rules."""


def listed() -> set[tuple[str, str]]:
    """Give service and rule of each row of the table."""
    _, _, section = PAGE.partition("## Where the defaults differ from the public ones")
    rows = re.findall(r"^\| (`[^|]+`[^|]*) \|", section.partition("\n## ")[0], re.MULTILINE)
    found = [re.fullmatch(r"`(?:identity:)?(\w+)` of (?:the )?(\w+)", row) for row in rows]
    assert all(found), rows
    return {(match[2], match[1]) for match in found if match}


def test_the_rows_are_the_rules_that_differ() -> None:
    assert listed() == set(DIFFERENT)


@pytest.mark.parametrize("key", DIFFERENT, ids=" ".join)
def test_a_rule_with_a_row_lets_others_than_the_public_default_does(key: tuple[str, str]) -> None:
    service, differs = BY_NAME[key[0]], DIFFERENT[key]
    rule = f"identity:{key[1]}" if service.name == "identity" else key[1]
    scopes = service.policies[rule].scopes
    public = Policy("public", {**service.policies, **table((rule, differs.public, scopes, ""))})
    for policy, lets in ((service.policy(), differs.here), (public, not differs.here)):
        assert policy.allows(policy.admitted(PERSONAS[differs.persona]), rule, differs.about) is lets
