"""Rules of the network as operators write them: of a thing they may ask for every attribute, and for its parent's."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from novakit.api.services import default_checks, told
from novakit.context import RequestContext, Target
from novakit.policy import Policy, PolicyFile, PolicyRule
from novakit.policy.personas import MINE
from novakit.policy.rules import GIVEN
from tests.functional.policy.cloud import Cloud

Make = Callable[..., Awaitable[str]]
PATHS = {"security_group": "security-groups", "security_group_rule": "security-group-rules"}


def path(kind: str, key: str = "", *more: str) -> str:
    """Give the path of things of a kind, of one of them, or of what is below it."""
    return "/".join(("/network/v2.0", PATHS.get(kind, kind + "s"), *filter(None, (key, *more))))


@attrs.define
class Ruled:
    """A cloud whose operator has written a policy.yaml."""

    cloud: Cloud
    file: PolicyFile
    number: int = 0

    def say(self, text: str) -> None:
        """Write the file, as it stands in a state directory, and have it read."""
        assert self.file.path is not None
        self.file.path.write_text(text)
        self.file.overrides = PolicyFile.open(
            self.file.path, required=True, known=default_checks(), told=told()
        ).overrides
        self.file.revision += 1

    async def make(self, kind: str, **values: Any) -> str:
        """Make one of a kind in the name of the member's project, whatever the file says."""
        said, self.file.overrides = self.file.overrides, {}
        self.file.revision += 1
        self.number += 1
        if kind in ("port", "subnet"):
            values.setdefault("network_id", await self.cloud.thing("network", MINE))
        if kind == "subnet":
            values |= {"cidr": f"10.9.{self.number}.0/24", "ip_version": 4}
        if kind == "floatingip":
            values["floating_network_id"] = await self.cloud.thing("external network", MINE)
        if kind == "security_group_rule":
            values.setdefault("security_group_id", await self.cloud.thing("security_group", MINE))
            values |= {"direction": "ingress", "protocol": "tcp", "port_range_min": self.number}
            values["port_range_max"] = self.number
        made = await self.cloud.make(MINE, path(kind), {kind: values})
        self.file.overrides = said
        self.file.revision += 1
        return str(made[kind]["id"])

    async def status(self, method: str, where: str, body: Any = None) -> int:
        """Ask as a member, and return the status."""
        return (await self.cloud.ask("member", method, where, body)).status


@pytest.fixture
async def ruled(tmp_path: Path) -> AsyncIterator[Ruled]:
    file = PolicyFile(path=tmp_path / "policy.yaml")
    cloud = await Cloud.open(tmp_path, file)
    wide = {"quota": dict.fromkeys(("network", "subnet", "port", "router", "floatingip", "security_group"), -1)}
    await cloud.thing("project", MINE)
    assert (await cloud.ask(MINE, "PUT", f"/network/v2.0/quotas/{MINE}", wide)).status == 200
    yield Ruled(cloud, file)
    await cloud.store.close()


WORD = {"network": "name", "subnet": "name", "router": "name", "security_group": "name"}
"""An attribute of each kind that anybody may set; `description` of the others."""


@pytest.mark.parametrize(
    ("kind", "check"),
    [
        ("port", "not field:port:description=kept"),
        ("network", "not 'kept':%(name)s"),
        ("subnet", "not field:subnets:name=~^kept$"),
        ("router", "not 'kept':%(name)s"),
        ("floatingip", "not field:floatingips:description=kept"),
        ("security_group", "not 'kept':%(name)s"),
        ("security_group_rule", "not 'kept':%(description)s"),
    ],
)
async def test_an_operator_keeps_things_by_an_attribute_of_theirs(ruled: Ruled, kind: str, check: str) -> None:
    word = WORD.get(kind, "description")
    kept, other = await ruled.make(kind, **{word: "kept"}), await ruled.make(kind, **{word: "other"})
    ruled.say(f'"delete_{kind}": "{check}"\n"update_{kind}": "{check}"')
    if kind != "security_group_rule":
        body = {kind: {"description": "x"}} if word == "name" else {kind: {"description": "other"}}
        assert [await ruled.status("PUT", path(kind, key), body) for key in (kept, other)] == [403, 200]
    assert [await ruled.status("DELETE", path(kind, key)) for key in (kept, other)] == [403, 204]
    ruled.say(f'"get_{kind}": "{check}"')
    shown = (await ruled.cloud.ask("member", "GET", path(kind))).json[f"{kind}s"]
    assert kept not in [one["id"] for one in shown] and await ruled.status("GET", path(kind, kept)) == 404
    assert await ruled.status("DELETE", path(kind, kept)) == 404, "what one does not see one does not delete"


async def test_the_public_rule_of_deleting_ports_keeps_those_of_servers(ruled: Ruled) -> None:
    public = (Path(__file__).parents[2] / "house/public_policies/network.yaml").read_text()
    rule = re.search(r'^"delete_port": .*', public, re.MULTILINE)
    assert rule is not None and "rule:compute_device" in rule[0]
    of_server, other = await ruled.make("port", device_owner="compute:nova"), await ruled.make("port")
    ruled.say(rule[0])
    assert [await ruled.status("DELETE", path("port", key)) for key in (of_server, other)] == [403, 204]
    assert (await ruled.cloud.ask("admin", "DELETE", path("port", of_server))).status == 204


@pytest.mark.parametrize("kind", ["port", "subnet"])
async def test_a_rule_may_ask_for_the_network_that_a_thing_is_on(ruled: Ruled, kind: str) -> None:
    lab, shop = await ruled.make("network", name="lab"), await ruled.make("network", name="shop")
    in_lab, in_shop = await ruled.make(kind, network_id=lab), await ruled.make(kind, network_id=shop)
    ruled.say(f'"delete_{kind}": "field:networks:name=lab"\n"create_{kind}": "\'lab\':%(network:name)s"')
    assert [await ruled.status("DELETE", path(kind, key)) for key in (in_shop, in_lab)] == [403, 204]
    for network, status in ((shop, 403), (lab, 201)):
        body = (
            {"network_id": network}
            if kind == "port"
            else {"network_id": network, "ip_version": 4, "cidr": "10.8.0.0/24"}
        )
        assert await ruled.status("POST", path(kind), {kind: body}) == status


async def test_a_rule_of_a_security_group_may_be_kept_by_its_group(ruled: Ruled) -> None:
    groups = [await ruled.make("security_group", name=name) for name in ("web", "base")]
    web, base = [await ruled.make("security_group_rule", security_group_id=group) for group in groups]
    ruled.say('"delete_security_group_rule": "rule:sg_owner and not \'base\':%(security_group:name)s"')
    assert [await ruled.status("DELETE", path("security_group_rule", key)) for key in (base, web)] == [403, 204]


@pytest.mark.parametrize(
    ("kind", "rule", "refused", "taken"),
    [
        ("network", "not field:networks:name=~^lab", {"name": "lab-1"}, {"name": "shop"}),
        ("router", "not 'edge':%(name)s", {"name": "edge"}, {"name": "core"}),
        (
            "security_group",
            "None:%(description)s or 'why':%(description)s",
            {"description": "x"},
            {"description": "why"},
        ),
    ],
)
async def test_what_is_asked_for_is_told_before_it_is_made(
    ruled: Ruled, kind: str, rule: str, refused: object, taken: object
) -> None:
    ruled.say(f'"create_{kind}": "{rule}"')
    assert await ruled.status("POST", path(kind), {kind: refused}) == 403
    assert await ruled.status("POST", path(kind), {kind: taken}) == 201
    assert await ruled.status("POST", path(kind), {f"{kind}s": [taken, refused]}) == 403
    assert await ruled.status("POST", path(kind), {kind: {"name": 5}}) in (400, 403)
    assert await ruled.status("POST", path(kind), {kind: "no object"}) in (400, 403)


async def test_what_is_asked_for_is_told_as_it_is_kept(ruled: Ruled) -> None:
    ruled.say("\n".join(f'"create_{kind}": "not field:{kind}s:admin_state_up=False"' for kind in ("network", "router")))
    for kind in ("network", "router"):
        for word, status in ((False, 403), ("false", 403), ("off", 403), (0, 403), ("on", 201)):
            assert await ruled.status("POST", path(kind), {kind: {"admin_state_up": word}}) == status, (kind, word)
    network = await ruled.make("network")
    ruled.say(f'"create_subnet": "not \'{network}\':%(network_id)s"\n"create_network": "project_id:%(project_id)s"')
    for key in (network, network.upper(), network.replace("-", "")):
        body = {"network_id": key, "ip_version": 4, "cidr": "10.8.0.0/24"}
        assert await ruled.status("POST", path("subnet"), {"subnet": body}) == 403, key
    for project in ({"project_id": None}, {"tenant_id": MINE}, {}):
        assert await ruled.status("POST", path("network"), {"network": project}) == 201, project


async def test_rules_for_attributes_are_told_of_the_thing_too(ruled: Ruled) -> None:
    kept, other = await ruled.make("network", name="kept"), await ruled.make("network", name="other")
    ruled.say('"update_network:port_security_enabled": "not \'kept\':%(name)s"')
    body = {"network": {"port_security_enabled": False}}
    assert [await ruled.status("PUT", path("network", key), body) for key in (kept, other)] == [403, 200]
    of_server, free = await ruled.make("port", device_owner="compute:nova"), await ruled.make("port")
    ruled.say('"update_port:mac_address": "rule:network_owner and not field:port:device_owner=~^compute:"')
    for key, mac, status in ((of_server, "fa:16:3e:00:77:01", 403), (free, "fa:16:3e:00:77:02", 200)):
        assert await ruled.status("PUT", path("port", key), {"port": {"mac_address": mac}}) == status


async def test_an_attribute_is_shown_of_the_things_whose_rule_says_so(ruled: Ruled) -> None:
    of_server, free = await ruled.make("port", device_owner="compute:nova"), await ruled.make("port")
    ruled.say('"get_port:binding:host_id": "field:port:device_owner=~^compute:"')
    shown = {one["id"]: one for one in (await ruled.cloud.ask("member", "GET", path("port"))).json["ports"]}
    assert "binding:host_id" in shown[of_server] and "binding:host_id" not in shown[free]
    assert await ruled.status("GET", path("port") + "?binding:host_id=alpha") == 400, "else one could find out by it"


async def test_an_attribute_is_shown_to_owners_alone_where_the_rule_says_so(ruled: Ruled) -> None:
    own = await ruled.make("network")
    shared = (await ruled.cloud.make("another", path("network"), {"network": {"shared": True}}))["network"]["id"]
    ruled.say('"get_network:provider:network_type": "rule:admin_only or project_id:%(project_id)s"')
    for who, seen in (("member", [True, False]), ("admin", [True, True])):
        asked = (await ruled.cloud.ask(who, "GET", path("network"))).json["networks"]
        shown = {one["id"]: "provider:network_type" in one for one in asked}
        assert [shown[own], shown[shared]] == seen
        for key, expected in zip((own, shared), seen, strict=True):
            one = (await ruled.cloud.ask(who, "GET", path("network", key))).json["network"]
            assert ("provider:network_type" in one) is expected
    by_type = path("network") + "?provider:network_type=geneve"
    assert await ruled.status("GET", by_type) == 400, "else one could find out of others' by it"
    assert (await ruled.cloud.ask("admin", "GET", by_type)).status == 200


async def test_tags_and_interfaces_are_kept_by_attributes_of_the_thing(ruled: Ruled) -> None:
    edge, core = await ruled.make("router", name="edge"), await ruled.make("router", name="core")
    subnet = await ruled.make("subnet")
    names = ("get_router:tags", "update_router:tags", "delete_router:tags", "add_router_interface")
    ruled.say("\n".join(f'"{name}": "not \'edge\':%(name)s"' for name in names))
    for key, statuses in ((edge, [403] * 4), (core, [200, 201, 204, 200])):
        found = [
            await ruled.status("GET", path("router", key, "tags")),
            await ruled.status("PUT", path("router", key, "tags", "blue")),
            await ruled.status("DELETE", path("router", key, "tags")),
            await ruled.status("PUT", path("router", key, "add_router_interface"), {"subnet_id": subnet}),
        ]
        assert found == statuses


async def test_all_rules_asked_of_each_thing_let_what_the_defaults_let(
    ruled: Ruled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a rule that the others refer to is changed, each thing is asked about, and the answers stay.

    What is told of them is what a policy file may ask for.
    """
    heard: set[str] = set()
    decide = Policy._decide

    def listen(self: Policy, context: RequestContext, rule: PolicyRule, target: Target | None) -> bool:
        heard.update(target or ())
        return decide(self, context, rule, target)

    monkeypatch.setattr(Policy, "_decide", listen)
    network = await ruled.make("network", name="open", shared=True)
    foreign = await ruled.cloud.thing("port", "another")
    for kind in ("port", "subnet", "router", "floatingip", "security_group", "security_group_rule"):
        key = await ruled.make(kind, **({"network_id": network} if kind in ("port", "subnet") else {}))
        ruled.say('"context_is_admin": "role:admin or role:root"')
        assert key in [one["id"] for one in (await ruled.cloud.ask("member", "GET", path(kind))).json[f"{kind}s"]]
        if kind == "subnet":
            assert await ruled.status("GET", path(kind, key)) == 200
        assert await ruled.status("GET", path("port", foreign)) == 404
        assert await ruled.status("DELETE", path(kind, key)) == 204
        ruled.say("")
    assert {"port:device_owner", "network:name", "subnets:router:external", "security_group:project_id"} <= heard
    assert heard <= GIVEN | told()["network"]
