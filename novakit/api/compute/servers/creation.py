"""From the body of POST /servers to what the domain is asked."""

import ipaddress
import string
from collections.abc import Mapping
from typing import Any

from novakit import errors, world
from novakit.api.compute.domain import Compute
from novakit.api.documents import Document
from novakit.api.queries import boolean
from novakit.api.service import Call
from novakit.compute.requests import CreateRequest, NetworksAsked
from novakit.request_spec.hints import bounded

NOT_SERVED = {
    "personality": "Files are not injected into guests here; write them with user_data.",
    "trusted_image_certificates": "Image signatures are not checked here: leave trusted_image_certificates out.",
}
"""Known fields that are refused when they say something, with the reason."""

PASSWORD_CHARACTERS = "".join(sorted({*string.ascii_letters, *string.digits} - set("Il1O0")))

NO_VOLUMES = (
    "Volumes are not served yet: block_device_mapping takes the root disk from an image alone, which imageRef says too."
)

KEPT_OF_FLAVOR = (
    *("id", "name", "vcpus", "ram", "disk", "ephemeral", "swap", "rxtx_factor", "is_public", "description"),
    "extra_specs",
)
"""What a server remembers of its flavor, whatever becomes of it later."""


async def creation(call: Call[Compute], body: Mapping[str, Any]) -> CreateRequest:
    """Check what no schema can, look up flavor and key, and put the request together. Raises BadRequest."""
    asked = body["server"]
    _refuse_what_is_not_served(asked)
    low = int(asked.get("min_count", 1))
    high = int(asked.get("max_count", low))
    if low > high:
        raise errors.BadRequest("min_count must be <= max_count")
    hostname = asked.get("hostname")
    if hostname and high > 1:
        raise errors.BadRequest(f"Unable to allocate a single hostname to {high} instances; leave hostname out.")
    zone, host, node = _place(call, asked)
    if zone is not None and zone not in await call.service.hosts.zones():
        raise errors.BadRequest(f"The requested availability zone is not available: {zone}")
    if asked.get("host") or asked.get("hypervisor_hostname"):
        await call.service.hosts.require(asked.get("host"), asked.get("hypervisor_hostname"))
    await _check_limits(call, asked)
    hints = bounded(body.get("os:scheduler_hints", body.get("OS-SCH-HNT:scheduler_hints", {})))
    return CreateRequest(
        name=asked["name"],
        description=asked.get("description") if call.version >= (2, 19) else asked["name"],
        hostname=hostname,
        image_id=_image_id(asked),
        flavor=await _flavor(call, asked["flavorRef"]),
        networks=_networks(asked.get("networks")),
        security_groups=_groups(asked),
        key_name=asked.get("key_name"),
        public_key=await _public_key(call, asked.get("key_name")),
        user_data=asked.get("user_data"),
        admin_pass=asked.get("adminPass") or new_password(),
        **reached(asked),
        config_drive=boolean(asked.get("config_drive")),
        metadata=asked.get("metadata", {}),
        tags=tuple(dict.fromkeys(asked.get("tags", ()))),
        availability_zone=zone,
        forced_host=host,
        forced_node=node,
        requested_host=asked.get("host"),
        requested_node=asked.get("hypervisor_hostname"),
        min_count=low,
        max_count=high,
        scheduler_hints=hints,
    )


def _refuse_what_is_not_served(asked: Mapping[str, object]) -> None:
    for name, why in NOT_SERVED.items():
        if asked.get(name):
            raise errors.BadRequest(why)


def reached(asked: Mapping[str, Any]) -> Document:
    """Read the access addresses and the disk configuration of a body, as far as it has them, by their columns."""
    found: dict[str, object] = {}
    for name, column in (("accessIPv4", "access_ip_v4"), ("accessIPv6", "access_ip_v6")):
        if name in asked:
            found[column] = str(ipaddress.ip_address(asked[name])) if asked[name] else None
    if "OS-DCF:diskConfig" in asked:
        found["auto_disk_config"] = asked["OS-DCF:diskConfig"] == "AUTO"
    return found


def new_password() -> str:
    """Make a password of letters and digits without those that look alike: 12 of 57 are 70 bits."""
    return "".join(world.chance().choices(PASSWORD_CHARACTERS, k=12))


def _groups(asked: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(group["name"] for group in asked.get("security_groups", ()) if "name" in group))


async def _check_limits(call: Call[Compute], asked: Mapping[str, Any]) -> None:
    if not asked.get("metadata"):
        return
    most = (await call.service.quotas.limits(call.context.project_id or ""))["metadata_items"]
    if -1 < most < len(asked["metadata"]):
        raise errors.Forbidden(f"Maximum number of metadata items exceeds {most}")


def _place(call: Call[Compute], asked: Mapping[str, Any]) -> tuple[str | None, str | None, str | None]:
    """Read `zone`, `zone:host`, `zone:host:node` or `zone::node`, and the host asked for by name."""
    words = (asked.get("availability_zone") or "").split(":")
    if len(words) > 3:
        raise errors.BadRequest("Unable to parse availability_zone; write zone, zone:host or zone:host:node.")
    zone, host, node = (word or None for word in (*words, "", "")[:3])
    if host or node:
        call.authorize("os_compute_api:servers:create:forced_host")
    if (asked.get("host") or asked.get("hypervisor_hostname")) and (host or node):
        raise errors.BadRequest(
            "One mechanism with host and/or hypervisor_hostname and another mechanism with zone:host:node are "
            "mutually exclusive."
        )
    return zone, host, node


def _image_id(asked: Mapping[str, Any]) -> str:
    """Return which image the server boots from. Raises BadRequest for none and for volumes."""
    if asked.get("block_device_mapping"):
        raise errors.BadRequest(NO_VOLUMES)
    image_id = (asked.get("imageRef") or "").lower()
    for disk in asked.get("block_device_mapping_v2", ()):
        source, to = disk.get("source_type", "image"), disk.get("destination_type", "local")
        named = str(disk.get("uuid") or disk.get("image_id") or "").lower()
        root = str(disk.get("boot_index", 0)) == "0" and not disk.get("volume_size")
        if (source, to) != ("image", "local") or not root or not named:
            raise errors.BadRequest(NO_VOLUMES)
        _require_plain(disk)
        if image_id and named != image_id:
            raise errors.BadRequest(f"imageRef says {image_id}, block_device_mapping_v2 {named}; name one image.")
        image_id = named
    if not image_id:
        raise errors.BadRequest("Invalid imageRef provided." if "imageRef" in asked else "Missing imageRef attribute")
    return image_id


def _require_plain(disk: Mapping[str, Any]) -> None:
    """Raise BadRequest for what nobody would do for the root disk: how guests see it is the image's to say."""
    odd = [name for name in ("tag", "disk_bus", "guest_format") if disk.get(name)]
    if (disk.get("device_type") or "disk") != "disk":
        odd.append("device_type")
    if odd:
        raise errors.BadRequest(
            f"{odd[0]} of the root disk is not supported: leave it out; the property hw_disk_bus of the image chooses "
            "the bus, and the guest finds the disk as its first."
        )


async def _flavor(call: Call[Compute], reference: str | int) -> Mapping[str, object]:
    """Look the flavor up by id, or by a link to it."""
    flavor_id = str(reference).rstrip("/").rpartition("/")[2][:255].replace("\x00", "")
    try:
        found = await call.service.flavors.show(call.context, flavor_id)
    except errors.NotFound as error:
        raise errors.BadRequest(error.message) from error
    return {name: found[name] for name in KEPT_OF_FLAVOR}


async def _public_key(call: Call[Compute], name: str | None) -> str | None:
    if name is None:
        return None
    try:
        return str((await call.service.keypairs.show(call.context.user_id, name))["public_key"])
    except errors.NotFound as error:
        raise errors.BadRequest("Invalid key_name provided.") from error


def _networks(asked: Any) -> NetworksAsked:
    """Check each NIC that is asked for; the network service resolves them."""
    if asked is None or isinstance(asked, str):
        return asked
    seen = set()
    for nic in asked:
        port = nic.get("port")
        if port:
            if port in seen:
                raise errors.BadRequest(
                    f"Port ID '{port}' was specified twice: you cannot attach a port multiple times."
                )
            seen.add(port)
            if nic.get("fixed_ip"):
                raise errors.BadRequest(
                    f"Specified Fixed IP '{nic['fixed_ip']}' cannot be used with port '{port}': the two cannot be "
                    "specified together."
                )
        elif not nic.get("uuid"):
            raise errors.BadRequest("Bad network format: missing 'uuid'")
    return list(asked) or None
