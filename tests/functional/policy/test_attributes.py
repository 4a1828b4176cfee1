"""Every rule is asked: shut by an operator, it shuts what it is about; most of all those that no route names.

These are about a part of a request or of an answer, and every persona asks for it.

What must come is read from the policy tables. Rules of the network are turned into requests by their names.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

from novakit.api.service import Service
from novakit.api.services import SERVICES
from novakit.policy import PolicyFile
from novakit.policy.personas import MINE, PERSONAS, STRANGER
from novakit.store.compute import servers
from tests.functional.policy.cloud import Answer, Cloud
from tests.functional.policy.requests import asks

Denied = Callable[[Answer], bool]


def not_taken(answer: Answer) -> bool:
    """Return that nobody is let, where the service takes no such request."""
    assert answer.status == 400 and "not allowed in PUT" in answer.json["NeutronError"]["message"], answer
    return True


def refused(answer: Answer) -> bool:
    """Return whether a request was refused for what it says."""
    return answer.status == 403


def without(*place: str | int) -> Denied:
    """Say that what an answer shows at a place is not there."""

    def denied(answer: Answer) -> bool:
        assert answer.status == 200, answer
        found = answer.json
        for part in place[:-1]:
            found = found[part]
        return place[-1] not in found

    return denied


@attrs.frozen
class Part:
    """One request that meets a rule, where the rule `base` lets the caller make such a request at all."""

    rule: str
    base: str
    method: str
    path: str
    body: Any = None
    denied: Denied = refused
    version: str | None = None
    before: Callable[[Cloud], Awaitable[None]] | None = None
    """What is done each time before it is asked."""
    shut: str | None = None
    """A wider rule, which shows the same to whom it lets, and is shut so that this one counts."""


# The network: `create_port:fixed_ips:subnet_id` is a POST of a port with that attribute, or that part of one.

NOT_TAKEN = re.compile(r"update_network:provider:.*")
"""Rules about what a request may not say at all: the public service has them, and this one changes none of it."""
PLURALS = {"security_group": "security-groups"}
NEEDED: Mapping[str, Mapping[str, Any]] = {
    "port": {"network_id": "{network}"},
    "subnet": {"network_id": "{network}", "ip_version": 4, "cidr": "10.{n}.7.0/24"},
    "floatingip": {"floating_network_id": "{external network}"},
}
"""What a POST must have beside."""
GATEWAY = {"network_id": "{external network}"}
PAIR = {"ip_address": "10.99.0.1"}
VALUES: Mapping[str, Any] = {
    "allowed_address_pairs": [PAIR],
    "allowed_address_pairs:ip_address": [PAIR],
    "allowed_address_pairs:mac_address": [{**PAIR, "mac_address": "fa:16:3e:00:99:99"}],
    "binding:host_id": "alpha",
    "binding:profile": {"a": "b"},
    "binding:vnic_type": "normal",
    "device_id": "a",
    "device_owner": "compute:nova",
    "distributed": False,
    "external_gateway_info": GATEWAY,
    "external_gateway_info:enable_snat": {**GATEWAY, "enable_snat": True},
    "external_gateway_info:external_fixed_ips": {**GATEWAY, "external_fixed_ips": [{"ip_address": "172.24.0.9"}]},
    "external_gateway_info:network_id": GATEWAY,
    "fixed_ips": [],
    "fixed_ips:ip_address": [{"ip_address": "10.{n}.0.9"}],
    "fixed_ips:subnet_id": [{"subnet_id": "{subnet}"}],
    "floating_ip_address": "172.24.0.{n}",
    "ha": False,
    "is_default": False,
    "mac_address": "fa:16:3e:00:00:01",
    "port_security_enabled": True,
    "provider:network_type": "vxlan",
    "provider:physical_network": "outside",
    "provider:segmentation_id": 7,
    "router:external": False,
    "shared": False,
    "tags": ["blue"],
}
"""A value of each attribute with a rule; `{kind}` is the id of a thing of one's own, `{n}` a number."""


def of_network(rule: str) -> list[Part]:
    """Make the requests that a rule of the network is about."""
    base, _, attribute = rule.partition(":")
    verb, _, one = base.partition("_")
    plural = f"/network/v2.0/{PLURALS.get(one, one + 's')}"
    if verb == "get":
        return [
            Part(rule, base, "GET", f"{plural}/{{{one}}}", denied=without(one, attribute)),
            Part(rule, base, "GET", f"{plural}?id={{{one}}}", denied=without(one + "s", 0, attribute)),
        ]
    said = {attribute if attribute not in VALUES else _attribute(attribute): VALUES[attribute]}
    if verb == "create":
        return [Part(rule, base, "POST", plural, {one: {**NEEDED.get(one, {}), **said}})]
    denied = not_taken if NOT_TAKEN.fullmatch(rule) else refused
    return [Part(rule, base, "PUT", f"{plural}/{{{one}}}", {one: said}, denied=denied)]


def _attribute(name: str) -> str:
    return re.sub(r"^(fixed_ips|allowed_address_pairs|external_gateway_info):.*", r"\1", name)


# Everything else, where a name does not say it.

SERVERS, NOVA = "/compute/v2.1/servers", "os_compute_api:"
SHOWN = f"{NOVA}servers:show"
NEW = {"name": "x", "flavorRef": "{flavor}", "imageRef": "{active image}", "networks": "none"}
ACTION = f"{SERVERS}/{{server}}/action"


async def _new_image(cloud: Cloud) -> None:
    """Have an image that nobody has shown to anybody yet."""
    cloud.gone("image", MINE)


async def _subnet(cloud: Cloud) -> None:
    """Have a subnet of the network."""
    await cloud.thing("subnet", MINE)


async def _new_port(cloud: Cloud) -> None:
    """Have ports with an address that no server has yet."""
    await _subnet(cloud)
    for kind in ("port", "external port"):
        cloud.gone(kind, MINE)


async def _silent(cloud: Cloud) -> None:
    """Have the server on a host of which nothing is heard in time."""
    cloud.domains["compute"].hosts.liveness.down_after = 0.0
    async with cloud.store.write() as session:
        await servers.change(session, await cloud.thing("server", MINE), host="alpha")


async def _locked(cloud: Cloud) -> None:
    async with cloud.store.write() as session:
        await servers.change(session, await cloud.thing("server", MINE), locked_by="admin")


OTHERS: tuple[Part, ...] = (
    *(
        Part(f"{NOVA}servers:{name}:get_all_tenants", f"{NOVA}servers:{name}", "GET", f"{SERVERS}{path}?all_tenants=1")
        for name, path in (("index", ""), ("detail", "/detail"))
    ),
    Part(
        f"{NOVA}servers:allow_all_filters",
        f"{NOVA}servers:index",
        "GET",
        f"{SERVERS}?host=nowhere",
        # Whoever may not filter by it is answered as if it had not been said.
        denied=lambda answer: bool(answer.json["servers"]),
    ),
    *(
        Part(rule, base, "GET", f"{SERVERS}{path}", denied=without(*place, *key))
        for base, path, place in (
            (SHOWN, "/{server}", ("server",)),
            (f"{NOVA}servers:detail", "/detail", ("servers", 0)),
        )
        for rule, key in (
            (f"{SHOWN}:flavor-extra-specs", ("flavor", "extra_specs")),
            (f"{SHOWN}:host_status", ("host_status",)),
            (f"{NOVA}os-extended-server-attributes", ("OS-EXT-SRV-ATTR:host",)),
        )
    ),
    *(
        Part(
            f"{SHOWN}:host_status:unknown-only",
            base,
            "GET",
            f"{SERVERS}{path}",
            denied=without(*place, "host_status"),
            before=_silent,
            shut=f"{SHOWN}:host_status",
        )
        for base, path, place in (
            (SHOWN, "/{server}", ("server",)),
            (f"{NOVA}servers:detail", "/detail?name=web", ("servers", 0)),
        )
    ),
    Part(
        f"{NOVA}servers:create:forced_host",
        f"{NOVA}servers:create",
        "POST",
        SERVERS,
        {"server": {**NEW, "availability_zone": "nova:alpha"}},
    ),
    Part(
        f"{NOVA}servers:create:zero_disk_flavor",
        f"{NOVA}servers:create",
        "POST",
        SERVERS,
        {"server": {**NEW, "flavorRef": "{flavor without disk}"}},
    ),
    *(
        Part(
            "compute:servers:create:requested_destination",
            f"{NOVA}servers:create",
            "POST",
            SERVERS,
            {"server": {**NEW, name: "alpha"}},
        )
        for name in ("host", "hypervisor_hostname")
    ),
    *(
        Part(rule, f"{NOVA}servers:create", "POST", SERVERS, {"server": {**NEW, "networks": asked}}, before=before)
        for rule, asked, before in (
            (f"{NOVA}servers:create:attach_network", [{"uuid": "{network}"}], _subnet),
            (f"{NOVA}servers:create:attach_network", [{"port": "{port}"}], _new_port),
            (f"{NOVA}servers:create:attach_network", "auto", None),
            ("network:attach_external_network", [{"uuid": "{external network}"}], None),
            ("network:attach_external_network", [{"port": "{external port}"}], _new_port),
        )
    ),
    Part(f"{NOVA}os-shelve:unshelve_to_host", f"{NOVA}os-shelve:unshelve", "POST", ACTION, {"unshelve": {"host": "a"}}),
    Part(
        f"{NOVA}os-lock-server:unlock:unlock_override",
        f"{NOVA}os-lock-server:unlock",
        "POST",
        ACTION,
        {"unlock": None},
        before=_locked,
    ),
    Part(
        f"{NOVA}os-instance-actions:events",
        f"{NOVA}os-instance-actions:show",
        "GET",
        f"{SERVERS}/{{server}}/os-instance-actions/{{request}}",
        denied=without("instanceAction", "events"),
        version="2.50",
    ),
    Part(
        f"{NOVA}os-instance-actions:events:details",
        f"{NOVA}os-instance-actions:show",
        "GET",
        f"{SERVERS}/{{server}}/os-instance-actions/{{request}}",
        denied=without("instanceAction", "events", 0, "details"),
    ),
    Part(f"{NOVA}limits:other_project", f"{NOVA}limits", "GET", f"/compute/v2.1/limits?tenant_id={STRANGER}"),
    Part(
        f"{NOVA}os-server-groups:index:all_projects",
        f"{NOVA}os-server-groups:index",
        "GET",
        "/compute/v2.1/os-server-groups?all_projects=1",
        denied=lambda answer: STRANGER not in {one["project_id"] for one in answer.json["server_groups"]},
    ),
    *(
        Part(f"{verb}_image", base, method, path, body, before=_new_image)
        for verb, value in (("publicize", "public"), ("communitize", "community"))
        for base, method, path, body in (
            ("add_image", "POST", "/image/v2/images", {"name": "x", "visibility": value}),
            (
                "modify_image",
                "PATCH",
                "/image/v2/images/{image}",
                [{"op": "replace", "path": "/visibility", "value": value}],
            ),
        )
    ),
    Part(
        "novakit:decisions:list:all_projects",
        "novakit:decisions:list",
        "GET",
        f"/novakit/v1/decisions?project_id={STRANGER}",
    ),
    Part(
        "novakit:explain:host",
        "novakit:explain",
        "POST",
        "/novakit/v1/explain",
        {"flavor": "{flavor}", "host": "alpha"},
    ),
)


def rules_of(service: Service[Any]) -> list[str]:
    """Name the rules of a table that are for callers and that no route names."""
    named = {ask.rule for ask in asks(service)} | {route.rule for route in service.routes}
    return [rule.name for rule in service.policies.values() if rule.scopes and rule.name not in named]


def parts(service: Service[Any]) -> list[Part]:
    """Make the requests of each of them."""
    if service.name == "network":
        return [part for rule in rules_of(service) for part in of_network(rule)]
    return [part for part in OTHERS if part.rule in service.policies and part.base in service.policies]


CONCERNED = [service for service in SERVICES if rules_of(service)]


@attrs.define
class Asker:
    """Sends the requests to a cloud whose rules can be changed."""

    cloud: Cloud
    file: PolicyFile

    def say(self, **rules: str) -> None:
        """Say otherwise than the tables."""
        self.file.overrides = rules
        self.file.revision += 1

    async def denies(self, part: Part, token: str) -> bool:
        """Ask as somebody; return whether that part was not for him. The request itself must be."""
        self.cloud.number += 1
        if part.before is not None:
            await part.before(self.cloud)
        body, path = await self._filled(part.body), await self._filled(part.path)
        headers = {"OpenStack-API-Version": f"compute {part.version}"} if part.version else {}
        if part.method == "PATCH":
            headers["Content-Type"] = "application/openstack-images-v2.1-json-patch"
        answer = await self.cloud.ask(token, part.method, path, body, headers)
        assert answer.status not in (401, 404, 500), (part, token, answer)
        return part.denied(answer)

    async def _filled(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: await self._filled(one) for key, one in value.items()}
        if isinstance(value, list):
            return [await self._filled(one) for one in value]
        for kind in set(re.findall(r"\{([a-z_ ]+)\}", value)) if isinstance(value, str) else ():
            value = value.replace(f"{{{kind}}}", await self._word(kind))
        return value

    async def _word(self, kind: str) -> str:
        if kind == "n":
            return str(self.cloud.number % 200 + 20)
        if kind == "request":
            path = await self._filled(f"{SERVERS}/{{server}}/os-instance-actions")
            return str((await self.cloud.ask(MINE, "GET", path)).json["instanceActions"][0]["request_id"])
        return await self.cloud.thing(kind, MINE)


@pytest.fixture
async def asker(tmp_path: Path) -> AsyncIterator[Asker]:
    file = PolicyFile()
    cloud = await Cloud.open(tmp_path, file)
    wide = {"quota": dict.fromkeys(("network", "subnet", "port", "router", "floatingip", "security_group"), -1)}
    for owner in (MINE, STRANGER):
        await cloud.thing("project", owner)
        assert (await cloud.ask(owner, "PUT", f"/network/v2.0/quotas/{owner}", wide)).status == 200
    for kind in ("server", "server group"):
        await cloud.thing(kind, STRANGER)
        await cloud.thing(kind, MINE)
    yield Asker(cloud, file)
    await cloud.store.close()


@pytest.mark.parametrize("service", CONCERNED, ids=lambda service: service.name)
def test_every_rule_that_no_route_names_is_in_a_request(service: Service[Any]) -> None:
    assert {part.rule for part in parts(service)} == set(rules_of(service))


@pytest.mark.parametrize("service", CONCERNED, ids=lambda service: service.name)
async def test_a_part_of_a_request_is_for_those_whom_its_rule_lets(asker: Asker, service: Service[Any]) -> None:
    policy, wrong = service.policy(), []
    for part in parts(service):
        asker.say(**({part.shut: "!"} if part.shut else {}))
        for name, persona in PERSONAS.items():
            known = policy.admitted(persona)
            if policy.allows(known, part.base):
                let = policy.allows(known, part.rule) and part.denied is not not_taken
                if await asker.denies(part, name) is let:
                    wrong.append(f"{name}: {part.method} {part.path} {part.body}: {part.rule} says {let}")
    assert not wrong, f"{len(wrong)} answers:\n" + "\n".join(wrong)


@pytest.mark.parametrize("service", CONCERNED, ids=lambda service: service.name)
async def test_an_operator_shuts_and_opens_each_part_by_its_rule(asker: Asker, service: Service[Any]) -> None:
    wrong = []
    for part in parts(service):
        for check, denied in (("!", True), ("@", part.denied is not_taken)):
            asker.say(**{part.rule: check, **({part.shut: "!"} if part.shut else {})})
            if await asker.denies(part, "admin") is not denied:
                wrong.append(f"{part.method} {part.path} {part.body}: {part.rule} is not asked")
    assert not wrong, f"{len(wrong)} answers:\n" + "\n".join(wrong)


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
async def test_an_operator_shuts_each_route_by_its_rule(asker: Asker, service: Service[Any]) -> None:
    wrong = []
    for ask in asks(service):
        asker.say()
        asker.cloud.number += 1
        path, headers = await ask.path(asker.cloud, MINE), await ask.headers(asker.cloud, MINE)
        asker.say(**{ask.rule: "!"})
        answer = await asker.cloud.ask("admin", ask.method, path, ask.body(asker.cloud), headers)
        if answer.status != 403:
            wrong.append(f"{ask.name} {ask.action}: {ask.rule} is not asked: {answer}")
    assert not wrong, f"{len(wrong)} answers:\n" + "\n".join(wrong)
