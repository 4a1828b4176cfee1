"""What the public API has and this cloud has not yet; a wrong body is told so before "not served yet"."""

from collections.abc import Mapping, Sequence

from novakit.api.bodies import Versions, wrapped
from novakit.api.compute.schemas import types
from novakit.api.compute.schemas.types import record
from novakit.api.service import Version
from novakit.compute.rules import ADMIN, MANAGER, MEMBER, ActionRule
from novakit.conductor.verb import ANYTHING, Action

_FIRST: Version = (2, 1)
_nothing: types.Definition = {"type": "null"}
_text: types.Definition = {"type": "string", "minLength": 1, "maxLength": 255}
_password: types.Definition = {"type": "string", "maxLength": 255}
_disk: types.Definition = {"type": "string", "enum": ["AUTO", "MANUAL"]}
_host: types.Definition = {"type": ["string", "null"], "maxLength": 255}
_id: types.Definition = {
    "anyOf": [{"type": "string", "minLength": 1, "maxLength": 255}, {"type": "integer", "minimum": 0}]
}
_auto: types.Definition = {"anyOf": [types.boolean, {"type": "string", "enum": ["auto"]}]}


def _optional(fields: types.Definition) -> types.Definition:
    return {**record(fields), "type": ["object", "null"]}


_rebuild: types.Definition = {
    "imageRef": {"type": "string", "minLength": 1, "maxLength": 255},
    "name": types.name,
    "adminPass": _password,
    "metadata": types.metadata,
    "preserve_ephemeral": types.boolean,
    "OS-DCF:diskConfig": _disk,
    "accessIPv4": {"type": "string", "format": "ipv4"},
    "accessIPv6": {"type": "string", "format": "ipv6"},
}
_personality: types.Definition = {"personality": {"type": "array", "maxItems": 256}}
_later: types.Definition = {
    "description": types.description,
    "key_name": {"type": ["string", "null"], "minLength": 1, "maxLength": 255},
    "user_data": {"type": ["string", "null"], "format": "base64", "maxLength": 65535},
    "trusted_image_certificates": {"type": ["array", "null"], "maxItems": 50, "items": _text},
    "hostname": types.hostname,
}


def _rebuilt(*later: str, files: bool) -> types.Definition:
    more = {name: _later[name] for name in later}
    return record({**_rebuild, **more, **(_personality if files else {})}, ["imageRef"])


def _evacuated(*fields: str, needed: Sequence[str] = ()) -> types.Definition:
    known = {"host": _host, "onSharedStorage": types.boolean, "adminPass": _password, "force": types.boolean}
    return record({name: known[name] for name in fields}, list(needed))


def _console(name: str, *kinds: str) -> Action:
    body = record({"type": {"type": "string", "enum": list(kinds)}}, ["type"])
    return Action(name=name, rule=_REMOTE_CONSOLE, bodies=((_FIRST, body),), until=(2, 5))


_live = {"host": _host, "block_migration": types.boolean}
_image = {"name": types.name, "metadata": types.metadata}
_backup = {"backup_type": {"type": "string", "maxLength": 255}, "rotation": types.number(0), **_image}
_address = record({"address": types.ip}, ["address"])
_pair = record({"address": types.ip, "fixed_address": types.ip}, ["address"])
_REMOTE_CONSOLE = ActionRule("os_compute_api:os-remote-consoles", MEMBER)
"""Of all kinds of consoles, in old versions an action each; the route that later ones have asks it, too."""

_EVERY: Sequence[Action] = (
    Action(
        name="restore",
        rule=ActionRule("os_compute_api:os-deferred-delete:restore", MEMBER),
        bodies=((_FIRST, _nothing),),
    ),
    Action(name="unrescue", rule=ActionRule("os_compute_api:os-unrescue", MEMBER), bodies=((_FIRST, _nothing),)),
    Action(
        name="confirmResize",
        rule=ActionRule("os_compute_api:servers:confirm_resize", MEMBER),
        bodies=((_FIRST, _nothing),),
    ),
    Action(
        name="revertResize",
        rule=ActionRule("os_compute_api:servers:revert_resize", MEMBER),
        bodies=((_FIRST, _nothing),),
    ),
    Action(
        name="trigger_crash_dump",
        rule=ActionRule("os_compute_api:servers:trigger_crash_dump", MEMBER),
        bodies=((_FIRST, _nothing),),
        since=(2, 17),
    ),
    Action(
        name="resetNetwork", rule=ActionRule("os_compute_api:os-admin-actions:reset_network", ADMIN), bodies=ANYTHING
    ),
    Action(
        name="injectNetworkInfo",
        rule=ActionRule("os_compute_api:os-admin-actions:inject_network_info", ADMIN),
        bodies=ANYTHING,
    ),
    Action(
        name="resize",
        rule=ActionRule("os_compute_api:servers:resize", MEMBER),
        bodies=((_FIRST, record({"flavorRef": _id, "OS-DCF:diskConfig": _disk}, ["flavorRef"])),),
    ),
    Action(
        name="rebuild",
        rule=ActionRule("os_compute_api:servers:rebuild", MEMBER),
        bodies=(
            (_FIRST, _rebuilt(files=True)),
            ((2, 19), _rebuilt("description", files=True)),
            ((2, 54), _rebuilt("description", "key_name", files=True)),
            ((2, 57), _rebuilt("description", "key_name", "user_data", files=False)),
            ((2, 63), _rebuilt(*(name for name in _later if name != "hostname"), files=False)),
            ((2, 90), _rebuilt(*_later, files=False)),
        ),
    ),
    Action(
        name="rescue",
        rule=ActionRule("os_compute_api:os-rescue", MEMBER),
        bodies=((_FIRST, _optional({"adminPass": _password, "rescue_image_ref": types.uuid})),),
    ),
    Action(
        name="migrate",
        rule=ActionRule("os_compute_api:os-migrate-server:migrate", MANAGER),
        bodies=((_FIRST, _nothing), ((2, 56), _optional({"host": _host}))),
    ),
    Action(
        name="os-migrateLive",
        rule=ActionRule("os_compute_api:os-migrate-server:migrate_live", MANAGER),
        bodies=(
            (_FIRST, record({**_live, "disk_over_commit": types.boolean}, list(_live))),
            ((2, 25), record({**_live, "block_migration": _auto}, list(_live))),
            ((2, 30), record({**_live, "block_migration": _auto, "force": types.boolean}, list(_live))),
            ((2, 68), record({**_live, "block_migration": _auto}, list(_live))),
        ),
    ),
    Action(
        name="evacuate",
        rule=ActionRule("os_compute_api:os-evacuate", ADMIN),
        bodies=(
            (_FIRST, _evacuated("host", "onSharedStorage", "adminPass", needed=["onSharedStorage"])),
            ((2, 14), _evacuated("host", "adminPass")),
            ((2, 29), _evacuated("host", "adminPass", "force")),
            ((2, 68), _evacuated("host", "adminPass")),
        ),
    ),
    Action(
        name="createImage",
        rule=ActionRule("os_compute_api:servers:create_image", MEMBER),
        bodies=((_FIRST, record(_image, ["name"])),),
    ),
    Action(
        name="createBackup",
        rule=ActionRule("os_compute_api:os-create-backup", MEMBER),
        bodies=((_FIRST, record(_backup, ["name", "backup_type", "rotation"])),),
    ),
    Action(
        name="changePassword",
        rule=ActionRule("os_compute_api:os-admin-password", MEMBER),
        bodies=((_FIRST, record({"adminPass": _password}, ["adminPass"])),),
    ),
    _console("os-getVNCConsole", "novnc", "xvpvnc"),
    _console("os-getSPICEConsole", "spice-html5"),
    _console("os-getSerialConsole", "serial"),
    _console("os-getRDPConsole", "rdp-html5"),
    Action(
        name="addFixedIp",
        rule=ActionRule("os_compute_api:os-multinic:add", MEMBER),
        bodies=((_FIRST, record({"networkId": _id}, ["networkId"])),),
        until=(2, 43),
    ),
    Action(
        name="removeFixedIp",
        rule=ActionRule("os_compute_api:os-multinic:remove", MEMBER),
        bodies=((_FIRST, _address),),
        until=(2, 43),
    ),
    Action(
        name="addFloatingIp",
        rule=ActionRule("os_compute_api:os-floating-ips:add", MEMBER),
        bodies=((_FIRST, _pair),),
        until=(2, 43),
    ),
    Action(
        name="removeFloatingIp",
        rule=ActionRule("os_compute_api:os-floating-ips:remove", MEMBER),
        bodies=((_FIRST, _address),),
        until=(2, 43),
    ),
)
ACTIONS: Mapping[str, Action] = {action.name: action for action in _EVERY}
"""Of a server, by name; none of them is a verb's, and a verb takes its record over as it is."""

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
