"""What the public API has and this cloud has not yet; a wrong body is told so before "not served yet"."""

from collections.abc import Mapping

import attrs

from novakit.api.bodies import Versions, wrapped
from novakit.api.compute.schemas import types
from novakit.api.compute.schemas.types import record
from novakit.api.service import Version

_nothing: types.Schema = {"type": "null"}
_anything: types.Schema = {}
_text: types.Schema = {"type": "string", "minLength": 1, "maxLength": 255}
_password: types.Schema = {"type": "string", "maxLength": 255}
_disk: types.Schema = {"type": "string", "enum": ["AUTO", "MANUAL"]}
_host: types.Schema = {"type": ["string", "null"], "maxLength": 255}
_id: types.Schema = {"anyOf": [{"type": "string", "minLength": 1, "maxLength": 255}, {"type": "integer", "minimum": 0}]}
_auto: types.Schema = {"anyOf": [types.boolean, {"type": "string", "enum": ["auto"]}]}


@attrs.frozen(kw_only=True)
class NotServed:
    """One action of a server, with the first and the last version that has it."""

    body: Versions
    since: Version | None = None
    until: Version | None = None


def _optional(fields: types.Schema) -> types.Schema:
    return {**record(fields), "type": ["object", "null"]}


_rebuild: types.Schema = {
    "imageRef": {"type": "string", "minLength": 1, "maxLength": 255},
    "name": types.name,
    "adminPass": _password,
    "metadata": types.metadata,
    "preserve_ephemeral": types.boolean,
    "OS-DCF:diskConfig": _disk,
    "accessIPv4": {"type": "string", "format": "ipv4"},
    "accessIPv6": {"type": "string", "format": "ipv6"},
}
_personality: types.Schema = {"personality": {"type": "array", "maxItems": 256}}
_later: types.Schema = {
    "description": types.description,
    "key_name": {"type": ["string", "null"], "minLength": 1, "maxLength": 255},
    "user_data": {"type": ["string", "null"], "format": "base64", "maxLength": 65535},
    "trusted_image_certificates": {"type": ["array", "null"], "maxItems": 50, "items": _text},
    "hostname": types.hostname,
}


def _rebuilt(*later: str, files: bool) -> types.Schema:
    more = {name: _later[name] for name in later}
    return wrapped("rebuild", record({**_rebuild, **more, **(_personality if files else {})}, ["imageRef"]))


def _console(action: str, *kinds: str) -> NotServed:
    return _action(action, record({"type": {"type": "string", "enum": list(kinds)}}, ["type"]), until=(2, 5))


def _action(
    action: str, inner: types.Schema, *, since: Version | None = None, until: Version | None = None
) -> NotServed:
    return NotServed(body=Versions([((2, 1), wrapped(action, inner))]), since=since, until=until)


def _by_version(*schemas: tuple[Version, types.Schema]) -> NotServed:
    return NotServed(body=Versions(schemas))


_live = {"host": _host, "block_migration": types.boolean}
_image = {"name": types.name, "metadata": types.metadata}
_backup = {"backup_type": {"type": "string", "maxLength": 255}, "rotation": types.number(0), **_image}

ACTIONS: Mapping[str, NotServed] = {
    **{name: _action(name, _nothing) for name in ("restore", "unrescue")},
    **{name: _action(name, _nothing) for name in ("confirmResize", "revertResize")},
    "trigger_crash_dump": _action("trigger_crash_dump", _nothing, since=(2, 17)),
    **{name: _action(name, _anything) for name in ("resetNetwork", "injectNetworkInfo")},
    "resize": _action("resize", record({"flavorRef": _id, "OS-DCF:diskConfig": _disk}, ["flavorRef"])),
    "rebuild": _by_version(
        ((2, 1), _rebuilt(files=True)),
        ((2, 19), _rebuilt("description", files=True)),
        ((2, 54), _rebuilt("description", "key_name", files=True)),
        ((2, 57), _rebuilt("description", "key_name", "user_data", files=False)),
        ((2, 63), _rebuilt(*(name for name in _later if name != "hostname"), files=False)),
        ((2, 90), _rebuilt(*_later, files=False)),
    ),
    "rescue": _action("rescue", _optional({"adminPass": _password, "rescue_image_ref": types.uuid})),
    "migrate": _by_version(
        ((2, 1), wrapped("migrate", _nothing)), ((2, 56), wrapped("migrate", _optional({"host": _host})))
    ),
    "os-migrateLive": _by_version(
        ((2, 1), wrapped("os-migrateLive", record({**_live, "disk_over_commit": types.boolean}, list(_live)))),
        ((2, 25), wrapped("os-migrateLive", record({**_live, "block_migration": _auto}, list(_live)))),
        (
            (2, 30),
            wrapped("os-migrateLive", record({**_live, "block_migration": _auto, "force": types.boolean}, list(_live))),
        ),
        ((2, 68), wrapped("os-migrateLive", record({**_live, "block_migration": _auto}, list(_live)))),
    ),
    "evacuate": _by_version(
        (
            (2, 1),
            wrapped(
                "evacuate",
                record({"host": _host, "onSharedStorage": types.boolean, "adminPass": _password}, ["onSharedStorage"]),
            ),
        ),
        ((2, 14), wrapped("evacuate", record({"host": _host, "adminPass": _password}))),
        ((2, 29), wrapped("evacuate", record({"host": _host, "adminPass": _password, "force": types.boolean}))),
        ((2, 68), wrapped("evacuate", record({"host": _host, "adminPass": _password}))),
    ),
    "createImage": _action("createImage", record(_image, ["name"])),
    "createBackup": _action("createBackup", record(_backup, ["name", "backup_type", "rotation"])),
    "changePassword": _action("changePassword", record({"adminPass": _password}, ["adminPass"])),
    "os-getVNCConsole": _console("os-getVNCConsole", "novnc", "xvpvnc"),
    "os-getSPICEConsole": _console("os-getSPICEConsole", "spice-html5"),
    "os-getSerialConsole": _console("os-getSerialConsole", "serial"),
    "os-getRDPConsole": _console("os-getRDPConsole", "rdp-html5"),
    "addFixedIp": _action("addFixedIp", record({"networkId": _id}, ["networkId"]), until=(2, 43)),
    "removeFixedIp": _action("removeFixedIp", record({"address": types.ip}, ["address"]), until=(2, 43)),
    "addFloatingIp": _action(
        "addFloatingIp", record({"address": types.ip, "fixed_address": types.ip}, ["address"]), until=(2, 43)
    ),
    "removeFloatingIp": _action("removeFloatingIp", record({"address": types.ip}, ["address"]), until=(2, 43)),
}
"""Of a server, by name; none of them is a verb."""

_attachment = {"volumeId": types.uuid, "device": {"type": ["string", "null"], "maxLength": 255}}
attach_volume = Versions(
    [
        ((2, 1), wrapped("volumeAttachment", record(_attachment, ["volumeId"]))),
        ((2, 49), wrapped("volumeAttachment", record({**_attachment, "tag": types.tag}, ["volumeId"]))),
        (
            (2, 79),
            wrapped(
                "volumeAttachment",
                record({**_attachment, "tag": types.tag, "delete_on_termination": types.boolean}, ["volumeId"]),
            ),
        ),
    ]
)
_protocol = {"type": "string", "enum": ["vnc", "spice", "rdp", "serial", "mks"]}
_kind = {"type": "string", "enum": ["novnc", "xvpvnc", "spice-html5", "spice-direct", "rdp-html5", "serial", "webmks"]}
remote_console = Versions(
    [((2, 6), wrapped("remote_console", record({"protocol": _protocol, "type": _kind}, ["protocol", "type"])))]
)
_fixed = {"type": "array", "minItems": 1, "maxItems": 1, "items": record({"ip_address": types.ip}, ["ip_address"])}
_interface = {"net_id": types.uuid, "port_id": types.uuid, "fixed_ips": _fixed}
attach_interface = Versions(
    [
        ((2, 1), record({"interfaceAttachment": record(_interface)})),
        ((2, 49), record({"interfaceAttachment": record({**_interface, "tag": types.tag})})),
    ]
)
