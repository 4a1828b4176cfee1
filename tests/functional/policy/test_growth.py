"""Whatever a tenant can write has a bound: each route by which one may is in this table, with what holds it."""

import re
from collections.abc import Mapping

from novakit.api.services import SERVICES
from novakit.policy.personas import PERSONAS
from tests.functional.policy.requests import asks
from tests.functional.service import test_quotas

QUOTA = "quota "
"""Held by this quota, which test_quotas fills with eighty requests at once."""
REPLACED = "replaces what its schema bounds"
"""Schemas are walked by tests/unit/api_compute/test_bounds."""
STATE = "changes the state of what is there"
RECORDED = "leaves an operation, of which a server keeps operations.MOST_OF_SERVER"
NOTHING = "keeps nothing"
HELD: Mapping[str, str] = {
    r"identity POST /v3/users/\{id\}/password": REPLACED,
    r"image POST /v2/images": QUOTA + "images",
    r"image PATCH /v2/images/\{id\}|image PUT /v2/images/\{id\}/tags/\{tag\}": "image.service, image.limits",
    r"image POST /v2/images/\{id\}/actions/.*|image PUT /v2/images/\{id\}/members/\{member\}": STATE,
    r"image PUT /v2/images/\{id\}/file": QUOTA + "images",
    r"image POST /v2/images/\{id\}/members": QUOTA + "image_members",
    r"network POST /v2.0/networks": QUOTA + "network",
    r"network POST /v2.0/subnets": QUOTA + "subnet",
    r"network (POST /v2.0/ports|PUT /v2.0/routers/\{id\}/(add|remove)_router_interface)": QUOTA + "port",
    r"network POST /v2.0/routers": QUOTA + "router",
    r"network POST /v2.0/floatingips": QUOTA + "floatingip",
    r"network POST /v2.0/security-groups": QUOTA + "security_group",
    r"network POST /v2.0/security-group-rules": QUOTA + "security_group_rule",
    r"network PUT /v2.0/[a-z-]+/\{id\}": REPLACED,
    r"network PUT /v2.0/[a-z-]+/\{id\}/tags": REPLACED,
    r"network PUT /v2.0/[a-z-]+/\{id\}/tags/\{tag\}": "api.network.attributes.MOST_TAGS",
    r"compute POST /v2.1/os-keypairs": QUOTA + "key_pairs",
    r"compute POST /v2.1/servers": QUOTA + "instances",
    r"compute PUT /v2.1/servers/\{id\}": REPLACED,
    r"compute POST /v2.1/servers/\{id\}/action (os-get.*|changePassword)": NOTHING,
    r"compute POST /v2.1/servers/\{id\}/action (add|remove)SecurityGroup": QUOTA + "security_group",
    r"compute POST /v2.1/servers/\{id\}/action (add|remove)(Fixed|Floating)Ip": QUOTA + "port",
    r"compute POST /v2.1/servers/\{id\}/action .*": RECORDED,
    r"compute (POST|PUT) /v2.1/servers/\{id\}/metadata(/\{key\})?": QUOTA + "metadata_items",
    r"compute PUT /v2.1/servers/\{id\}/tags": REPLACED,
    r"compute PUT /v2.1/servers/\{id\}/tags/\{tag\}": "api.compute.servers.tags.MAX_TAGS",
    r"compute POST /v2.1/servers/\{id\}/os-interface": QUOTA + "port",
    r"(compute|novakit) POST /v(2.)?1/(os-)?server-groups": QUOTA + "server_groups",
    r"compute POST /v2.1/servers/\{id\}/(os-volume_attachments|remote-consoles)": NOTHING,
    r"volume .*|novakit POST /v1/explain": NOTHING,
    r"novakit PATCH /v1/server-groups/\{id\}": REPLACED,
    r"novakit PUT /v1/server-groups/\{id\}/members/\{server_id\}": QUOTA + "server_group_members",
}
"""By route and action, what keeps a member of a project from filling the cloud by it; the first that fits counts."""


def test_every_route_by_which_a_member_writes_has_what_holds_it() -> None:
    used = set()
    for service in SERVICES:
        policy = service.policy()
        for ask in asks(service):
            if ask.method == "GET" or not policy.allows(policy.admitted(PERSONAS["member"]), ask.rule):
                continue
            if ask.method in ("DELETE", "HEAD"):
                continue
            name = f"{ask.name} {ask.action}" if ask.action else ask.name
            found = next((rule for rule in HELD if re.fullmatch(rule, name)), None)
            assert found is not None, f"{name}: say what keeps a tenant from filling the cloud by it"
            used.add(found)
    assert used == set(HELD), set(HELD) - used


def test_every_quota_that_is_named_is_tried_by_eighty_at_once() -> None:
    named = {how.removeprefix(QUOTA) for how in HELD.values() if how.startswith(QUOTA)}
    assert named <= set(test_quotas.EVERY)
