"""Bodies of the server calls."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import attrs

from novakit.api.bodies import Body, Definition
from novakit.api.compute.schemas import types
from novakit.left_out import LEFT_OUT, LeftOut

USER_DATA: Definition = {"type": "string", "format": "base64", "maxLength": 65535}

MOST = 256
"""Networks, disks, files or security groups that one request may name."""
_one_or_more_ids: Definition = {"anyOf": [types.uuid, {"type": "array", "items": types.uuid}]}
hints: Definition = {
    "type": "object",
    "properties": {
        "group": _one_or_more_ids,
        "different_host": _one_or_more_ids,
        "same_host": _one_or_more_ids,
        "query": {"type": ["string", "object"]},
        "target_cell": types.name,
        "different_cell": {"type": ["string", "array"], "items": {"type": "string"}},
        "build_near_host_ip": types.ip,
        "cidr": {"type": "string", "pattern": r"^/[0-9a-f.:]+\Z", "description": "the length of a prefix, such as /24"},
    },
    "additionalProperties": True,
}
_old_mapping: Definition = {
    "virtual_name": {"type": "string", "maxLength": 255},
    "volume_id": types.uuid,
    "snapshot_id": types.uuid,
    "volume_size": types.number(1),
    "device_name": {
        "type": "string",
        "minLength": 1,
        "maxLength": 255,
        "pattern": r"^[a-zA-Z0-9._/\-]*\Z",
        "description": "the name of a device, such as /dev/vda",
    },
    "delete_on_termination": types.boolean,
    "no_device": {},
    "connection_info": {"type": "string", "maxLength": 65535},
}
_mapping: Definition = {
    **_old_mapping,
    "source_type": {"type": "string", "enum": ["volume", "image", "snapshot", "blank"]},
    "uuid": {
        "type": "string",
        "minLength": 1,
        "maxLength": 255,
        "pattern": r"^[a-zA-Z0-9._\-]*\Z",
        "description": "an id: letters, digits, dots, underscores and hyphens",
    },
    "image_id": types.uuid,
    "destination_type": {"type": "string", "enum": ["local", "volume"]},
    "guest_format": {"type": "string", "maxLength": 255},
    "device_type": {"type": "string", "maxLength": 255},
    "disk_bus": {"type": "string", "maxLength": 255},
    "boot_index": {
        "anyOf": [
            {"type": ["integer", "null"]},
            {
                "type": "string",
                "pattern": r"^-?[0-9]{1,9}\Z",
                "description": "such a number as a string of at most 9 digits",
            },
        ]
    },
}
_network: Definition = {
    "fixed_ip": types.ip,
    "port": {"anyOf": [types.uuid, {"type": "null"}]},
    "uuid": types.uuid,
}
_personality = {
    "path": {"type": "string", "maxLength": 255},
    "contents": {"type": "string", "format": "base64", "maxLength": 65535},
}


def _many(properties: Mapping[str, object], **more: object) -> Definition:
    return {"type": "array", "items": types.record(properties), "maxItems": MOST, **more}


def _networks(properties: Definition) -> Definition:
    return {"anyOf": [_many(properties), {"type": "string", "enum": ["none", "auto"]}]}


_first: Definition = {
    "name": types.name,
    "imageRef": {"anyOf": [types.uuid, {"type": "string", "maxLength": 0}]},
    "flavorRef": {"type": ["string", "integer"], "minLength": 1, "maxLength": 2048},
    "adminPass": {"type": "string", "maxLength": 255},
    "metadata": types.metadata,
    "networks": _many({**_network, "uuid": {"type": "string", "maxLength": 255}}),
    "OS-DCF:diskConfig": {"type": "string", "enum": ["AUTO", "MANUAL"]},
    "accessIPv4": {"type": "string", "format": "ipv4"},
    "accessIPv6": {"type": "string", "format": "ipv6"},
    "personality": _many(_personality),
    "availability_zone": types.name,
    "block_device_mapping": _many(_old_mapping),
    "block_device_mapping_v2": _many(_mapping),
    "config_drive": types.boolean,
    "key_name": types.name,
    "min_count": types.number(1),
    "max_count": types.number(1),
    "return_reservation_id": types.boolean,
    "security_groups": _many({"name": types.name}),
    "user_data": USER_DATA,
}
_tagged = {**_network, "tag": types.tag}
_changes: list[tuple[tuple[int, int], Definition]] = [
    ((2, 1), {}),
    ((2, 19), {"description": types.description}),
    (
        (2, 32),
        {
            "networks": _many({**_tagged, "uuid": {"type": "string", "maxLength": 255}}),
            "block_device_mapping_v2": _many({**_mapping, "tag": types.tag}),
        },
    ),
    ((2, 33), {"block_device_mapping_v2": _many(_mapping)}),
    ((2, 37), {"networks": _networks(_network)}),
    ((2, 42), {"networks": _networks(_tagged), "block_device_mapping_v2": _many({**_mapping, "tag": types.tag})}),
    ((2, 52), {"tags": {"type": "array", "items": types.tag, "maxItems": 50}}),
    ((2, 57), {"personality": None}),
    (
        (2, 63),
        {
            "trusted_image_certificates": {
                "type": ["array", "null"],
                "minItems": 1,
                "maxItems": 50,
                "uniqueItems": True,
                "items": {"type": "string", "minLength": 1, "maxLength": 255},
            }
        },
    ),
    (
        (2, 67),
        {
            "block_device_mapping_v2": _many(
                {**_mapping, "tag": types.tag, "volume_type": {"type": ["string", "null"], "maxLength": 255}}
            )
        },
    ),
    ((2, 74), {"host": types.fqdn, "hypervisor_hostname": types.fqdn}),
    ((2, 90), {"hostname": types.hostname}),
    ((2, 94), {"hostname": types.fqdn}),
]


def _create() -> list[tuple[tuple[int, int], Definition]]:
    """Apply the changes of each version to those before it."""
    properties, versions = dict(_first), []
    for since, change in _changes:
        properties = {key: value for key, value in {**properties, **change}.items() if value is not None}
        required = ["name", "flavorRef", *(["networks"] if since >= (2, 37) else [])]
        body = {
            "server": types.record(properties, required),
            "os:scheduler_hints": hints,
            "OS-SCH-HNT:scheduler_hints": hints,
        }
        versions.append((since, types.record(body, ["server"])))
    return versions


@attrs.frozen(kw_only=True)
class RootDisk:
    """What a request says of one of a server's disks."""

    KEEPS_THE_REST: ClassVar = "more"

    source_type: str = "image"
    destination_type: str = "local"
    uuid: str | None = None
    image_id: str | None = None
    boot_index: str | None = "0"
    volume_size: int | None = None
    tag: str | None = None
    disk_bus: str | None = None
    guest_format: str | None = None
    device_type: str | None = None
    more: Mapping[str, object]
    """What says nothing to a disk that is made of an image: its name, what becomes of it later."""


@attrs.frozen(kw_only=True)
class ServerChange:
    """What of a server is to change."""

    SENT_AS: ClassVar = {
        "access_ip_v4": "accessIPv4",
        "access_ip_v6": "accessIPv6",
        "disk_config": "OS-DCF:diskConfig",
    }

    name: str | LeftOut = LEFT_OUT
    description: str | LeftOut | None = LEFT_OUT
    hostname: str | LeftOut = LEFT_OUT
    access_ip_v4: str | LeftOut = LEFT_OUT
    access_ip_v6: str | LeftOut = LEFT_OUT
    disk_config: str | LeftOut = LEFT_OUT


@attrs.frozen(kw_only=True)
class NewServer:
    """A server that is to be made, or several alike."""

    SENT_AS: ClassVar = {
        "image": "imageRef",
        "flavor": "flavorRef",
        "admin_pass": "adminPass",
        "access_ip_v4": "accessIPv4",
        "access_ip_v6": "accessIPv6",
        "disk_config": "OS-DCF:diskConfig",
        "disks": "block_device_mapping_v2",
    }

    name: str
    flavor: str
    """Its id, or a link to it."""
    image: str | LeftOut = LEFT_OUT
    description: str | None = None
    hostname: str | None = None
    admin_pass: str | None = attrs.field(default=None, repr=False)
    metadata: Mapping[str, str] = {}
    networks: str | Sequence[Mapping[str, str | None]] | None = None
    """`auto`, `none`, or uuid, port, fixed_ip and tag of each NIC."""
    access_ip_v4: str | LeftOut = LEFT_OUT
    access_ip_v6: str | LeftOut = LEFT_OUT
    disk_config: str | LeftOut = LEFT_OUT
    personality: Sequence[object] = ()
    availability_zone: str | None = None
    block_device_mapping: Sequence[object] = ()
    disks: Sequence[RootDisk] = ()
    config_drive: bool = False
    key_name: str | None = None
    min_count: int = 1
    max_count: int | None = None
    return_reservation_id: bool = False
    security_groups: Sequence[Mapping[str, str]] | LeftOut = LEFT_OUT
    """Each with its name or id as `name`."""
    user_data: str | None = attrs.field(default=None, repr=False)
    tags: Sequence[str] = ()
    trusted_image_certificates: Sequence[str] | None = None
    host: str | None = None
    hypervisor_hostname: str | None = None


@attrs.frozen(kw_only=True)
class NewServers:
    """The body of POST /servers."""

    SENT_AS: ClassVar = {"hints": "os:scheduler_hints", "old_hints": "OS-SCH-HNT:scheduler_hints"}

    server: NewServer
    hints: Mapping[str, object] | None = None
    old_hints: Mapping[str, object] = {}
    """The hints under their old name, for clients that know no other."""


create = Body(NewServers, _create())

_update: Definition = {name: _first[name] for name in ("name", "OS-DCF:diskConfig", "accessIPv4", "accessIPv6")}
_described = {**_update, "description": types.description}

update = Body(
    ServerChange,
    [
        ((2, 1), types.record(_update)),
        ((2, 19), types.record(_described)),
        ((2, 90), types.record({**_described, "hostname": types.hostname})),
        ((2, 94), types.record({**_described, "hostname": types.fqdn})),
    ],
    under="server",
)
