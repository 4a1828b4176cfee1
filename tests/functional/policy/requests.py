"""What is sent to each route: the ids in its path, its body and its version."""

import re
from collections.abc import Mapping
from typing import Any

import attrs

from novakit.api.compute.schemas import not_served
from novakit.api.service import Route, Service, text
from novakit.policy.personas import ME, MINE, STRANGER
from tests.functional.policy.cloud import ABSENT, Cloud

OWNED = frozenset(
    {
        *(
            "server",
            "image",
            "active image",
            "given image",
            "lent image",
            "network",
            "subnet",
            "port",
            "router",
            "floatingip",
        ),
        *("security_group", "security_group_rule", "project", "user", "server group", "token"),
    }
)
"""Kinds that belong to a project or user, so that there are foreign ones."""

PATHS: tuple[tuple[str, dict[str, str]], ...] = (
    (r"compute /v2.1/servers/\{id\}", {"id": "server"}),
    (r"compute /v2.1/flavors/\{id\}", {"id": "flavor"}),
    (r"compute /v2.1/os-aggregates/\{id\}", {"id": "aggregate"}),
    (r"compute /v2.1/os-hypervisors/\{id\}/(search|servers)", {"id": "host name"}),
    (r"compute /v2.1/os-hypervisors/\{id\}", {"id": "host"}),
    (r"compute /v2.1/os-services/\{id\}", {"id": "compute service"}),
    (r"compute /v2.1/os-server-groups/\{id\}", {"id": "server group"}),
    (r"compute /v2.1/os-keypairs/\{name\}", {"name": "keypair"}),
    (r"compute /v2.1/os-quota-sets/\{project\}", {"project": "project"}),
    (r"novakit /v1/server-groups/\{id\}/members", {"id": "server group", "server_id": "server"}),
    (r"novakit /v1/server-groups/\{id\}", {"id": "server group"}),
    (r"image /v2/images/\{id\}/members/\{member\}", {"id": "lent image"}),
    (r"image /v2/images/\{id\}/actions", {"id": "active image"}),
    (r"image /v2/images/\{id\}", {"id": "image"}),
    (r"network /v2.0/networks/\{id\}", {"id": "network"}),
    (r"network /v2.0/subnets/\{id\}", {"id": "subnet"}),
    (r"network /v2.0/ports/\{id\}", {"id": "port"}),
    (r"network /v2.0/routers/\{id\}", {"id": "router"}),
    (r"network /v2.0/floatingips/\{id\}", {"id": "floatingip"}),
    (r"network /v2.0/security-groups/\{id\}", {"id": "security_group"}),
    (r"network /v2.0/security-group-rules/\{id\}", {"id": "security_group_rule"}),
    (r"novakit /v1/image-files/\{name\}", {"name": "image file"}),
    (r"novakit /v1/image-quotas/\{project\}", {"project": "project"}),
    (r"network /v2.0/quotas/\{project_id\}", {"project_id": "project"}),
    (r"identity /v3/users/\{id\}", {"id": "user"}),
    (r"identity /v3/projects/\{id\}", {"id": "project"}),
    (r"identity /v3/domains/\{id\}", {"id": "domain"}),
    (r"identity /v3/auth/tokens", {"token": "token"}),
    (r"identity /v3/roles/\{id\}", {"id": "role"}),
    (r"identity /v3/regions/\{id\}", {"id": "region"}),
    (r"identity /v3/services/\{id\}", {"id": "service"}),
    (r"identity /v3/endpoints/\{id\}", {"id": "endpoint"}),
    (r"placement /resource_providers/\{uuid\}", {"uuid": "provider"}),
    (r"placement /resource_classes/\{name\}", {"name": "resource class"}),
    (r"placement /traits/\{name\}", {"name": "trait"}),
)
USERS = {MINE: ME, STRANGER: STRANGER}
FIXED = {
    "key": "k",
    "tag": "blue",
    "name": "image",
    "alias": "router",
    "member": "third",
    "resource_class": "VCPU",
    "project": MINE,
    "target": MINE,
    "user": ME,
}
"""Parts of paths that are no ids of their own."""

BODIES: Mapping[str, Any] = {
    "identity POST /v3/users/{id}/password": {"user": {"password": "new", "original_password": "old"}},
    "identity POST /v3/domains": {"domain": {"name": "{n}"}},
    "identity POST /v3/projects": {"project": {"name": "{n}"}},
    "identity PATCH /v3/projects/{id}": {"project": {"description": "x"}},
    "identity POST /v3/users": {"user": {"name": "{n}"}},
    "identity PATCH /v3/users/{id}": {"user": {"description": "x"}},
    "identity POST /v3/roles": {"role": {"name": "{n}"}},
    "identity PATCH /v3/roles/{id}": {"role": {"description": "x"}},
    "identity POST /v3/regions": {"region": {"description": "x"}},
    "identity POST /v3/services": {"service": {"type": "{n}"}},
    "identity PATCH /v3/services/{id}": {"service": {"description": "x"}},
    "identity PATCH /v3/endpoints/{id}": {"endpoint": {"enabled": True}},
    "novakit POST /v1/image-files/{name}/adopt": {"project": MINE},
    "image POST /v2/images": {"name": "x"},
    "image PATCH /v2/images/{id}": [{"op": "replace", "path": "/name", "value": "x"}],
    "image PUT /v2/images/{id}/file": b"x" * 512,
    "image POST /v2/images/{id}/members": {"member": "{n}"},
    "image PUT /v2/images/{id}/members/{member}": {"status": "accepted"},
    "network POST /v2.0/networks": {"network": {"name": "x"}},
    "network PUT /v2.0/networks/{id}": {"network": {"name": "x"}},
    "network PUT /v2.0/subnets/{id}": {"subnet": {"name": "x"}},
    "network PUT /v2.0/ports/{id}": {"port": {"name": "x"}},
    "network POST /v2.0/routers": {"router": {"name": "x"}},
    "network PUT /v2.0/routers/{id}": {"router": {"name": "x"}},
    "network PUT /v2.0/floatingips/{id}": {"floatingip": {"description": "x"}},
    "network POST /v2.0/security-groups": {"security_group": {"name": "x"}},
    "network PUT /v2.0/security-groups/{id}": {"security_group": {"name": "x"}},
    "network PUT /v2.0/routers/{id}/add_router_interface": {"subnet_id": ABSENT},
    "network PUT /v2.0/routers/{id}/remove_router_interface": {"subnet_id": ABSENT},
    "network PUT /v2.0/quotas/{project_id}": {"quota": {"network": 10}},
    "network PUT /v2.0/security-group-rules/{id}": {"security_group_rule": {}},
    **{
        f"network PUT /v2.0/{one}/{{id}}/tags": {"tags": ["blue"]}
        for one in ("networks", "subnets", "ports", "routers", "floatingips", "security-groups")
    },
    "placement POST /resource_classes": {"name": "CUSTOM_{n}"},
    "placement POST /resource_providers": {"name": "{n}"},
    "placement PUT /resource_providers/{uuid}": {"name": "{n}"},
    "compute POST /v2.1/flavors": {"flavor": {"name": "{n}", "ram": 64, "vcpus": 1, "disk": 0}},
    "compute PUT /v2.1/flavors/{id}": {"flavor": {"description": "x"}},
    "compute POST /v2.1/flavors/{id}/os-extra_specs": {"extra_specs": {"hw:cpu_policy": "shared"}},
    "compute PUT /v2.1/flavors/{id}/os-extra_specs/{key}": {"hw:cpu_policy": "shared"},
    "compute PUT /v2.1/servers/{id}": {"server": {"name": "x"}},
    "compute POST /v2.1/servers/{id}/metadata": {"metadata": {"k": "v"}},
    "compute PUT /v2.1/servers/{id}/metadata": {"metadata": {"k": "v"}},
    "compute PUT /v2.1/servers/{id}/metadata/{key}": {"meta": {"k": "v"}},
    "compute PUT /v2.1/servers/{id}/tags": {"tags": ["blue"]},
    "compute POST /v2.1/os-server-groups": {"server_group": {"name": "x", "policy": "affinity"}},
    "compute PUT /v2.1/os-quota-sets/{project}": {"quota_set": {"cores": 20}},
    "compute PUT /v2.1/os-services/{id}": {"status": "enabled"},
    "compute POST /v2.1/os-aggregates": {"aggregate": {"name": "{n}"}},
    "compute PUT /v2.1/os-aggregates/{id}": {"aggregate": {"name": "{n}"}},
    "novakit PUT /v1/image-quotas/{project}": {"image_quota": {"images": 10}},
    "novakit POST /v1/explain": {"flavor": "none"},
    "novakit POST /v1/capacity": {"flavor": "none"},
    "novakit POST /v1/server-groups": {"server_group": {"name": "x", "policy": "affinity"}},
    "novakit PATCH /v1/server-groups/{id}": {"server_group": {"name": "x"}},
}
"""A body that is right, `{n}` a number; of routes that are not here an empty object, which is right for some."""

ACTIONS: Mapping[str, Any] = {
    "reboot": {"type": "SOFT"},
    "os-getConsoleOutput": {},
    "addSecurityGroup": {"name": "default"},
    "removeSecurityGroup": {"name": "default"},
    "os-resetState": {"state": "active"},
    "addTenantAccess": {"tenant": MINE},
    "removeTenantAccess": {"tenant": MINE},
    "set_metadata": {"metadata": {"a": "b"}},
    "add_host": {"host": "alpha"},
    "remove_host": {"host": "alpha"},
}
QUERIES = {
    "placement GET /usages": "?project_id={project}",
    "identity GET /v3/role_assignments": "?user.id={user}",
}
"""What says in the query whose things are asked for."""
MEDIA = {
    "image PATCH /v2/images/{id}": "application/openstack-images-v2.1-json-patch",
    "image PUT /v2/images/{id}/file": "application/octet-stream",
}


@attrs.frozen
class Ask:
    """One way to call a route: with a rule, which an action in the body may choose."""

    service: Service[Any]
    route: Route
    rule: str
    action: str | None = None

    @property
    def name(self) -> str:
        return f"{self.service.name} {self.route.method} {self.route.path}"

    @property
    def method(self) -> str:
        return "POST" if self.route.method == "*" else self.route.method

    @property
    def kinds(self) -> dict[str, str]:
        """Say of what kinds the ids in the path are."""
        if self.name == "image PUT /v2/images/{id}/members/{member}":
            return {"id": "given image"}
        place = f"{self.service.name} {self.route.path}"
        return next((kinds for pattern, kinds in PATHS if re.match(pattern, place)), {})

    @property
    def is_owned(self) -> bool:
        return self.name in QUERIES or bool(OWNED & set(self.kinds.values()))

    async def path(self, cloud: Cloud, whose: str | None) -> str:
        """Fill the path with what belongs to somebody; None is what is not there."""
        parts = {name: await self._part(cloud, kind, whose) for name, kind in self.kinds.items()}

        def fill(match: re.Match[str]) -> str:
            name = match[1].partition(":")[0]
            if name == "member" and self.kinds.get("id") == "given image":
                return MINE if whose == MINE else "third"
            return parts.get(name) or FIXED.get(name) or ABSENT

        path = re.sub(r"\{([^{}]*(?:\{[^}]*\})?[^{}]*)\}", fill, self.route.path)
        query = QUERIES.get(self.name, "").format(project=whose or ABSENT, user=USERS.get(whose or "", ABSENT))
        return f"/{self.service.name}{path}{query}"

    async def _part(self, cloud: Cloud, kind: str, whose: str | None) -> str:
        if whose is None:
            return {"aggregate": "99999", "keypair": "absent", "flavor": "absent"}.get(kind, ABSENT)
        if kind == "given image" and whose != MINE:
            return await cloud.thing("lent image", whose)
        return await cloud.thing(kind, whose if kind in OWNED or kind == "keypair" else MINE)

    def body(self, cloud: Cloud) -> Any:
        if self.action is not None:
            return {self.action: ACTIONS.get(self.action)}
        if self.method not in ("POST", "PUT", "PATCH"):
            return None
        cloud.number += 1
        return _numbered(BODIES.get(self.name, {}), f"N{cloud.number}")

    async def headers(self, cloud: Cloud, whose: str | None) -> dict[str, str]:
        said = {"Content-Type": MEDIA[self.name]} if self.name in MEDIA else {}
        other = not_served.ACTIONS.get(self.action or "")
        last = self.route.until or (other and other.until)
        if last is not None:
            said["OpenStack-API-Version"] = f"{self.service.name} {text(last)}"
        if self.route.path == "/v3/auth/tokens":
            said["X-Subject-Token"] = "nonsense" if whose is None else await cloud.thing("token", whose)
        return said


def _numbered(value: Any, number: str) -> Any:
    if isinstance(value, str):
        return value.replace("{n}", number)
    if isinstance(value, dict):
        return {key: _numbered(one, number) for key, one in value.items()}
    return [_numbered(one, number) for one in value] if isinstance(value, list) else value


def asks(service: Service[Any]) -> list[Ask]:
    """Walk the route table of a service."""
    return [
        Ask(service, route, rule, action)
        for route in service.routes
        if not route.public
        for action, rule in ({None: route.rule} if route.rule else route.rules).items()
    ]


__all__ = ["ABSENT", "MINE", "STRANGER", "Ask", "asks"]
