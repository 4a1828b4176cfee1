"""Addresses as numbers: reading them, listing pools, and taking the next free ones."""

import ipaddress
import re
import socket
from collections.abc import Collection, Iterable, Iterator, Sequence

from novakit import world
from novakit.network.refusals import invalid
from novakit.store.engine import Session
from novakit.store.network import ports as port_rows
from novakit.store.network.new_nics import NEAR
from novakit.store.network.subnets import StoredSubnet

Pool = tuple[int, int]
MAC_FORMS = (
    (re.compile(r"[0-9a-f]{1,2}(:[0-9a-f]{1,2}){5}"), 2),
    (re.compile(r"[0-9a-f]{1,2}(-[0-9a-f]{1,2}){5}"), 2),
    (re.compile(r"[0-9a-f]{1,4}(\.[0-9a-f]{1,4}){2}"), 4),
    (re.compile(r"[0-9a-f]{12}"), 12),
)
"""How a MAC address is written, and how many digits a part of it has."""


def number_of(ip: str) -> int:
    """Read an IPv4 address as a number; raise the error of bad input for anything else."""
    try:
        return int(ipaddress.IPv4Address(ip))
    except ValueError as error:
        raise invalid(f"'{ip[:64]}' is not a valid IP address.") from error


def ip_of(number: int) -> str:
    """Write a number as an IPv4 address."""
    return socket.inet_ntoa(number.to_bytes(4, "big"))


def range_of(cidr: str) -> ipaddress.IPv4Network:
    """Read a stored CIDR."""
    return ipaddress.IPv4Network(cidr)


def usable(net: ipaddress.IPv4Network) -> Pool:
    """Return the first and last address a port may have."""
    first, last = int(net.network_address), int(net.broadcast_address)
    return (first, last) if net.prefixlen >= 31 else (first + 1, last - 1)


def without(pool: Pool, number: int | None) -> list[Pool]:
    """Cut one address out of a pool."""
    first, last = pool
    if number is None or not first <= number <= last:
        return [pool]
    return [(a, b) for a, b in ((first, number - 1), (number + 1, last)) if a <= b]


def new_mac() -> str:
    """Make a MAC address up, in the range that clouds use."""
    bits = world.chance().getrandbits(24)
    return f"fa:16:3e:{bits >> 16:02x}:{bits >> 8 & 255:02x}:{bits & 255:02x}"


def normal_mac(text: str) -> str | None:
    """Return a MAC address as `fa:16:3e:00:0a:0b`, from any form that people write; None for what is none."""
    lower = text.lower()
    for form, width in MAC_FORMS:
        if form.fullmatch(lower):
            digits = "".join(part.zfill(width) for part in re.split("[:.-]", lower))
            return ":".join(digits[place : place + 2] for place in range(0, 12, 2))
    return None


def read_mac(text: str) -> str:
    """Read a unicast MAC address in its usual form."""
    mac = normal_mac(text)
    if mac is None or int(mac[:2], 16) & 1 or mac == "00:00:00:00:00:00":
        raise invalid(f"'{text[:64]}' is not a valid MAC address of one device.")
    return mac


def from_cursor(pools: Iterable[Pool], cursor: int) -> Iterator[Pool]:
    """Go through pools from a place on and round to it again."""
    pools = sorted(pools)
    for first, last in pools:
        if last >= cursor:
            yield max(first, cursor), last
    for first, last in pools:
        if first < cursor:
            yield first, min(last, cursor - 1)


async def take(
    session: Session, subnet: StoredSubnet, count: int, taken: set[int], near: Collection[int] | None = None
) -> list[int]:
    """Choose up to `count` free addresses of a locked subnet's pools, going on where the last choice ended.

    `taken` holds addresses that this transaction gives away but has not written yet; what is chosen is added to it.
    Looks at a window of addresses at a time, so a large empty range costs one query; none where the caller knows which
    of the first ones, those `near` the cursor, are in use.
    """
    found: list[int] = []
    window = max(NEAR, 2 * count)
    for first, last in from_cursor([(pool[0], pool[1]) for pool in subnet.pools], subnet.cursor):
        while first <= last and len(found) < count:
            top = min(last, first + window - 1)
            if near is not None and subnet.cursor <= first and top < subnet.cursor + NEAR:
                used = near
            else:
                used = await port_rows.used_numbers(session, subnet.id, first, top)
            free = (number for number in range(first, top + 1) if number not in used and number not in taken)
            found += [number for number, _ in zip(free, range(count - len(found)), strict=False)]
            first, window = top + 1, min(2 * window, 65536)
    if found:
        await port_rows.set_cursor(session, subnet.id, found[-1] + 1)
        taken.update(found)
    return found


def containing(subnets: Sequence[StoredSubnet], number: int) -> StoredSubnet | None:
    """Find the subnet that an address belongs to."""
    for subnet in subnets:
        net = range_of(subnet.cidr)
        if int(net.network_address) <= number <= int(net.broadcast_address):
            return subnet
    return None


def pairs(value: Iterable[Sequence[str]]) -> tuple[tuple[str, str], ...]:
    """Read stored pairs of text."""
    return tuple((first, second) for first, second in value)
