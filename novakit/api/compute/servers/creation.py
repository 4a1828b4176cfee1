"""From the body of POST /servers to what the domain is asked."""

import ipaddress
import string
from collections.abc import Mapping, Sequence

from novakit import errors, world
from novakit.api import ids
from novakit.api.compute.domain import Compute
from novakit.api.compute.schemas.servers import NewServer, NewServers, RootDisk, ServerChange
from novakit.api.service import Call
from novakit.compute.requests import CreateRequest, NetworksAsked
from novakit.conductor.verbs.create import ATTACH_NETWORK, FORCED_HOST, ZERO_DISK
from novakit.left_out import LEFT_OUT, LeftOut, either
from novakit.request_spec.hints import bounded

NO_FILES = "Files are not injected into guests here; write them with user_data."
NO_CERTIFICATES = "Image signatures are not checked here: leave trusted_image_certificates out."

PASSWORD_CHARACTERS = "".join(sorted({*string.ascii_letters, *string.digits} - set("Il1O0")))

NO_VOLUMES = (
    "Volumes are not served yet: a server may ask for no other disk than its root disk, made from an image. "
    "Leave the block device mapping out, and name the image in imageRef."
)

KEPT_OF_FLAVOR = (
    *("id", "name", "vcpus", "ram", "disk", "ephemeral", "swap", "rxtx_factor", "is_public", "description"),
    "extra_specs",
)
"""What a server remembers of its flavor, whatever becomes of it later."""


async def creation(call: Call[Compute], body: NewServers) -> CreateRequest:
    """Check what no schema can, look up flavor and key, and put the request together. Raises BadRequest."""
    asked = body.server
    _refuse_what_is_not_served(asked)
    low = asked.min_count
    high = low if asked.max_count is None else asked.max_count
    if low > high:
        raise errors.BadRequest("min_count must be <= max_count")
    if asked.hostname and high > 1:
        raise errors.BadRequest(f"Unable to allocate a single hostname to {high} instances; leave hostname out.")
    zone, host, node = _place(call, asked)
    if zone is not None and zone not in await call.service.hosts.zones():
        raise errors.BadRequest(f"The requested availability zone is not available: {zone}")
    if asked.host or asked.hypervisor_hostname:
        await call.service.hosts.require(asked.host, asked.hypervisor_hostname)
    await _check_limits(call, asked)
    hints = ids.kept_hints(bounded(body.old_hints if body.hints is None else body.hints))
    return CreateRequest(
        name=asked.name,
        description=asked.description if call.version >= (2, 19) else asked.name,
        hostname=asked.hostname,
        image_id=_image_id(asked),
        flavor=await _flavor(call, asked.flavor),
        networks=_networks(call, asked.networks),
        security_groups=_groups(asked),
        key_name=asked.key_name,
        public_key=await _public_key(call, asked.key_name),
        user_data=asked.user_data,
        admin_pass=asked.admin_pass or new_password(),
        access_ip_v4=either(address(asked.access_ip_v4), None),
        access_ip_v6=either(address(asked.access_ip_v6), None),
        auto_disk_config=asked.disk_config == "AUTO",
        config_drive=asked.config_drive,
        metadata=asked.metadata,
        tags=tuple(dict.fromkeys(asked.tags)),
        availability_zone=zone,
        forced_host=host,
        forced_node=node,
        requested_host=asked.host,
        requested_node=asked.hypervisor_hostname,
        min_count=low,
        max_count=high,
        scheduler_hints=hints,
    )


def _refuse_what_is_not_served(asked: NewServer) -> None:
    if asked.personality:
        raise errors.BadRequest(NO_FILES)
    if asked.trusted_image_certificates:
        raise errors.BadRequest(NO_CERTIFICATES)


def changes(asked: ServerChange) -> dict[str, object]:
    """Return what is to change of a server, by its columns."""
    found: dict[str, object] = {
        "name": asked.name,
        "description": asked.description,
        "hostname": asked.hostname,
        "access_ip_v4": address(asked.access_ip_v4),
        "access_ip_v6": address(asked.access_ip_v6),
    }
    if asked.disk_config:
        found["auto_disk_config"] = asked.disk_config == "AUTO"
    return {name: value for name, value in found.items() if value is not LEFT_OUT}


def address(said: str | LeftOut) -> str | LeftOut | None:
    """Return an access address in its normal form; an empty one is none."""
    return said if isinstance(said, LeftOut) else str(ipaddress.ip_address(said)) if said else None


def new_password() -> str:
    """Make a password of letters and digits without those that look alike: 12 of 57 are 70 bits."""
    return world.word(PASSWORD_CHARACTERS, 12)


def _groups(asked: NewServer) -> tuple[str, ...]:
    return tuple(dict.fromkeys(group["name"] for group in either(asked.security_groups, ()) if "name" in group))


async def _check_limits(call: Call[Compute], asked: NewServer) -> None:
    if not asked.metadata:
        return
    most = (await call.service.quotas.limits(call.context.project_id or ""))["metadata_items"]
    if -1 < most < len(asked.metadata):
        raise errors.Forbidden(f"Maximum number of metadata items exceeds {most}")


def _place(call: Call[Compute], asked: NewServer) -> tuple[str | None, str | None, str | None]:
    """Read `zone`, `zone:host`, `zone:host:node` or `zone::node`, and the host asked for by name."""
    words = (asked.availability_zone or "").split(":")
    if len(words) > 3:
        raise errors.BadRequest("Unable to parse availability_zone; write zone, zone:host or zone:host:node.")
    zone, host, node = (word or None for word in (*words, "", "")[:3])
    if host or node:
        call.authorize(FORCED_HOST.name)
    if (asked.host or asked.hypervisor_hostname) and (host or node):
        raise errors.BadRequest(
            "One mechanism with host and/or hypervisor_hostname and another mechanism with zone:host:node are "
            "mutually exclusive."
        )
    return zone, host, node


def _image_id(asked: NewServer) -> str:
    """Return which image the server boots from. Raises BadRequest for none and for volumes."""
    if asked.block_device_mapping:
        raise errors.BadRequest(NO_VOLUMES)
    image_id = (asked.image or "").lower()
    for disk in asked.disks:
        named = (disk.uuid or disk.image_id or "").lower()
        if not _is_root(disk) or not named:
            raise errors.BadRequest(NO_VOLUMES)
        _require_plain(disk)
        if image_id and named != image_id:
            raise errors.BadRequest(f"imageRef says {image_id}, block_device_mapping_v2 {named}; name one image.")
        image_id = named
    if not image_id:
        missing = isinstance(asked.image, LeftOut)
        raise errors.BadRequest("Missing imageRef attribute" if missing else "Invalid imageRef provided.")
    return image_id


def _require_plain(disk: RootDisk) -> None:
    """Raise BadRequest for what nobody would do for the root disk: how guests see it is the image's to say."""
    said = {"tag": disk.tag, "disk_bus": disk.disk_bus, "guest_format": disk.guest_format}
    odd = [name for name, value in said.items() if value]
    if (disk.device_type or "disk") != "disk":
        odd.append("device_type")
    if odd:
        raise errors.BadRequest(
            f"{odd[0]} of the root disk is not supported; leave it out. The image's property hw_disk_bus chooses the "
            "bus, and the root disk is the guest's first disk."
        )


def _is_root(disk: RootDisk) -> bool:
    """Return whether a disk is what every server has: one from its image, on the host."""
    made = disk.source_type, disk.destination_type
    return made == ("image", "local") and disk.boot_index == "0" and not disk.volume_size


async def _flavor(call: Call[Compute], reference: str) -> Mapping[str, object]:
    """Look the flavor up by id, or by a link to it. Raises Forbidden for one without a disk that not all may use."""
    flavor_id = reference.rstrip("/").rpartition("/")[2][:255].replace("\x00", "")
    try:
        found = await call.service.flavors.show(call.context, flavor_id)
    except errors.NotFound as error:
        raise errors.BadRequest(error.message) from error
    if not found["disk"] and not call.allows(ZERO_DISK.name):
        raise errors.Forbidden("Only volume-backed servers are allowed for flavors with zero disk.")
    kept: Mapping[str, object] = {**found}
    return {name: kept[name] for name in KEPT_OF_FLAVOR}


async def _public_key(call: Call[Compute], name: str | None) -> str | None:
    if name is None:
        return None
    try:
        return (await call.service.keypairs.show(call.context.user_id, name)).public_key
    except errors.NotFound as error:
        raise errors.BadRequest("Invalid key_name provided.") from error


def _networks(call: Call[Compute], asked: str | Sequence[Mapping[str, str | None]] | None) -> NetworksAsked:
    """Check each NIC that is asked for; the network service resolves them."""
    if asked and asked != "none":
        call.authorize(ATTACH_NETWORK.name)
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
