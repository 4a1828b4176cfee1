"""Links, namespaces, addresses and routes of this host; the only module that talks to pyroute2.

The idea: every function here blocks, is short, looks at what is there, and changes what shall be otherwise. `Links`
runs them in a few threads of its own.
The invariant: each may be called again, whatever a call before it left, as what is right already is left alone. A
thread that has entered a namespace never does anything else and ends after it, so no call runs in the wrong one.
The cost: 1.5 ms for each function, most of it for a socket of netlink; 0.1 ms for a thread in a namespace. `devices`
asks no netlink and costs 30 µs. At most `THREADS` run at once, as the kernel has one lock for links anyway.
"""

import asyncio
import contextlib
import errno
import ipaddress
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import attrs
import pyroute2
from pyroute2.netlink.exceptions import NetlinkError

T = TypeVar("T")

THREADS = 4
"""Calls of netlink block, and a namespace is entered by a thread; more at once wait for the kernel's one lock."""
SYSCTL = Path("/proc/sys/net")
UP = 1
"""IFF_UP of linux/if.h."""
OURS = ":nk"
"""The end of the label of addresses that we set, so that others on the same device are left alone."""


class LinkFailed(Exception):
    """The kernel refused a link, an address or a route; the message says which and why."""


@attrs.frozen(kw_only=True)
class Leg:
    """A device inside a namespace as it shall be."""

    device: str
    mtu: int
    addresses: tuple[str, ...]
    """With prefix length."""


@attrs.frozen(kw_only=True)
class NamespacePlan:
    """A namespace as it shall be."""

    name: str
    legs: tuple[Leg, ...]
    routes: tuple[tuple[str, str], ...] = ()
    """Pairs of destination CIDR and next hop."""
    forwards: bool = False

    def devices(self) -> list[str]:
        """Name the devices in it."""
        return [leg.device for leg in self.legs]


class Links:
    """The host's links, for asynchronous callers."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="net-ovs")

    def close(self) -> None:
        """End the threads once they have nothing to do."""
        self._pool.shutdown(wait=False)

    async def call(self, work: Callable[..., T], *args: object) -> T:
        """Run one of this module's functions in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *args)

    async def call_inside(self, namespace: str, work: Callable[..., T], *args: object) -> T:
        """Run one of this module's functions in a thread inside a namespace."""
        return await self.call(inside, namespace, work, *args)


def inside(namespace: str, work: Callable[..., T], *args: object) -> T:
    """Run a function in a namespace, in a thread of its own."""
    result: list[T] = []
    failure: list[BaseException] = []

    def enter() -> None:
        try:
            pyroute2.netns.setns(namespace)
            result.append(work(*args))
        except BaseException as error:
            failure.append(error)

    # A thread that has entered a namespace stays in it, so one of the pool's must never do so; this one ends.
    thread = threading.Thread(target=enter, name=f"in-{namespace}")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return result[0]


def devices() -> dict[str, int]:
    """List the devices here with their numbers, which change when a device is made anew; costs microseconds."""
    return {name: index for index, name in socket.if_nameindex()}


def namespaces() -> list[str]:
    """List the named namespaces."""
    return [str(name) for name in pyroute2.netns.listnetns()]


def make_taps(wanted: Mapping[str, int], mark: str) -> dict[str, str]:
    """Make persistent taps, by name with their MTU, still down: they are filtered before they are reachable.

    The mark says whose they are. Gives, by name, why one could not be made.
    """
    failures = {}
    with pyroute2.IPRoute() as ip:
        for name, mtu in wanted.items():
            try:
                with _explained(f"the tap {name}"):
                    _make_tap(ip, name, mtu, mark)
            except LinkFailed as error:
                failures[name] = str(error)
    return failures


def _make_tap(ip: pyroute2.IPRoute, name: str, mtu: int, mark: str) -> None:
    if name not in devices():
        # vnet_hdr, as QEMU opens taps with it for offloads, and a tap cannot be opened with other flags than it has.
        ip.link("add", ifname=name, kind="tuntap", mode="tap", uid=0, ifr={"no_pi": True, "vnet_hdr": True})
    ip.link("set", index=socket.if_nametoindex(name), mtu=mtu, ifalias=mark)
    # The host itself says nothing on a guest's wire.
    _write_sysctl(f"ipv6/conf/{name}/disable_ipv6", "1")


def raise_links(names: Iterable[str]) -> None:
    """Bring devices up; one that is gone is left out."""
    here = devices()
    with pyroute2.IPRoute() as ip:
        for name in names:
            if name in here:
                ip.link("set", index=here[name], state="up")


def marks(names: Iterable[str]) -> dict[str, tuple[str, bool]]:
    """Return of the devices here who marked each when it was made, nothing where nobody did, and whether it is up."""
    wanted = set(names)
    with pyroute2.IPRoute() as ip:
        return {
            link.get("ifname"): (link.get("ifalias") or "", bool(link["flags"] & UP))
            for link in ip.get_links()
            if link.get("ifname") in wanted
        }


def opened(names: Iterable[str]) -> set[str]:
    """Return which of these taps some process has opened: those that have a carrier."""
    wanted = set(names)
    with pyroute2.IPRoute() as ip:
        return {link.get("ifname") for link in ip.get_links() if link.get("carrier")} & wanted


def remove_links(names: Iterable[str]) -> None:
    """Remove devices; the unknown is fine."""
    here = devices()
    with pyroute2.IPRoute() as ip:
        for name in names:
            if name in here:
                with contextlib.suppress(NetlinkError):  # the switch may have been faster
                    ip.link("del", index=here[name])


def remove_namespaces(names: Iterable[str]) -> None:
    """Remove namespaces and all that is in them; the unknown is fine."""
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            pyroute2.netns.remove(name)


def make_namespace(namespace: NamespacePlan) -> list[str]:
    """Make a namespace, move its devices in and configure them. Returns the addresses that are new there.

    A device that waits outside is one that the switch made anew, after a restart; it replaces a dead one inside.
    """
    with _explained(f"the namespace {namespace.name}"):
        if namespace.name not in pyroute2.netns.listnetns():
            pyroute2.netns.create(namespace.name)
        outside = devices()
        waiting = [leg.device for leg in namespace.legs if leg.device in outside]
        if waiting:
            inside(namespace.name, remove_links, waiting)
            _move_in(namespace.name, waiting)
        return inside(namespace.name, _furnish, namespace)


def _move_in(namespace: str, names: Iterable[str]) -> None:
    here = devices()
    with pyroute2.IPRoute() as ip:
        for name in names:
            ip.link("set", index=here[name], net_ns_fd=namespace)


def _furnish(namespace: NamespacePlan) -> list[str]:
    _write_sysctl("ipv4/ip_forward", "1" if namespace.forwards else "0")
    _write_sysctl("ipv6/conf/all/forwarding", "1" if namespace.forwards else "0")
    # A router must not tell guests of a shorter way: it would lead past its own rules.
    _write_sysctl("ipv4/conf/all/send_redirects", "0")
    fresh = []
    with pyroute2.IPRoute() as ip:
        found = {link.get("ifname"): link for link in ip.get_links()}
        for leg in namespace.legs:
            if leg.device not in found:
                raise LinkFailed(f"the switch made no device {leg.device}; see the log of ovs-vswitchd")
            fresh += _furnish_leg(ip, found[leg.device], leg)
        if not found["lo"]["flags"] & UP:
            ip.link("set", index=found["lo"]["index"], state="up")
        wanted = {leg.device for leg in namespace.legs} | {"lo"}
        for name in found.keys() - wanted:
            # The switch takes the device of a port away; what is still here is one that it no longer knows.
            with contextlib.suppress(NetlinkError):
                ip.link("del", index=found[name]["index"])
        _furnish_routes(ip, namespace.routes)
    return fresh


def _furnish_leg(ip: pyroute2.IPRoute, link: Any, leg: Leg) -> list[str]:
    index = link["index"]
    # An address of ours is never somebody else's, so nothing waits for duplicate detection.
    _write_sysctl(f"ipv6/conf/{leg.device}/accept_dad", "0")
    _write_sysctl(f"ipv6/conf/{leg.device}/accept_ra", "0")
    _write_sysctl(f"ipv4/conf/{leg.device}/send_redirects", "0")
    if link.get("mtu") != leg.mtu:
        ip.link("set", index=index, mtu=leg.mtu)
    if not link["flags"] & UP:
        ip.link("set", index=index, state="up")
    return set_addresses(ip, index, leg.addresses)


def set_addresses(ip: pyroute2.IPRoute, index: int, wanted: Sequence[str]) -> list[str]:
    """Make these all the addresses of a device, except link-local ones. Returns those that are new."""
    have = {
        f"{ipaddress.ip_address(item.get('address'))}/{item['prefixlen']}"
        for item in ip.get_addr(index=index)
        if item["scope"] == 0 or not ipaddress.ip_address(item.get("address")).is_link_local
    }
    have |= {f"{item.get('address')}/{item['prefixlen']}" for item in ip.get_addr(index=index, family=socket.AF_INET)}
    normal = [str(ipaddress.ip_interface(address)) for address in wanted]
    for address in have - set(normal):
        value, prefix = address.split("/")
        with contextlib.suppress(NetlinkError):
            ip.addr("del", index=index, address=value, prefixlen=int(prefix))
    fresh = [address for address in normal if address not in have]
    for address in fresh:
        value, prefix = address.split("/")
        ip.addr("add", index=index, address=value, prefixlen=int(prefix))
    return fresh


def set_outside_addresses(wanted: Mapping[str, str | None]) -> None:
    """Make each bridge's own device have this address of ours, or none; addresses of others stay.

    A label says which one is ours.
    """
    here = devices()
    with pyroute2.IPRoute() as ip:
        for device, address in wanted.items():
            if device not in here:
                continue
            label = f"{device}{OURS}"
            have = {
                f"{item.get('address')}/{item['prefixlen']}": item.get("label")
                for item in ip.get_addr(index=here[device], family=socket.AF_INET)
            }
            for known in [known for known, mark in have.items() if mark == label and known != address]:
                value, prefix = known.split("/")
                ip.addr("del", index=here[device], address=value, prefixlen=int(prefix))
            if address is not None and address not in have:
                value, prefix = address.split("/")
                ip.addr("add", index=here[device], address=value, prefixlen=int(prefix), label=label)
            if address is not None:
                ip.link("set", index=here[device], state="up")


def _furnish_routes(ip: pyroute2.IPRoute, routes: Iterable[tuple[str, str]]) -> None:
    for family in (socket.AF_INET, socket.AF_INET6):
        version = 4 if family == socket.AF_INET else 6
        wanted = {(dst, via) for dst, via in routes if ipaddress.ip_address(via).version == version}
        have = set()
        # Table 254 is `main`; protocol 4 is RTPROT_STATIC, which only routes have that were set by somebody: the
        # kernel's own, which follow from addresses, are left alone.
        for route in ip.get_routes(family=family, table=254):
            if (via := route.get("gateway")) and route["proto"] == 4:
                dst = route.get("dst")
                have.add((f"{dst}/{route['dst_len']}" if dst else ("0.0.0.0/0" if version == 4 else "::/0"), via))
        for dst, via in have - wanted:
            ip.route("del", dst=dst, gateway=via, family=family)
        for dst, via in wanted - have:
            ip.route("add", dst=dst, gateway=via, proto="static", family=family)


def announce(device: str, mac: str, addresses: Iterable[str]) -> None:
    """Tell the neighbours which MAC has each IPv4 address now (gratuitous ARP)."""
    source = bytes.fromhex(mac.replace(":", ""))
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind((device, 0x0806))  # ETH_P_ARP
        for address in addresses:
            ip = ipaddress.ip_interface(address).ip
            if ip.version == 4:
                head = b"\xff" * 6 + source + b"\x08\x06" + struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1)
                wire.send(head + source + ip.packed + b"\0" * 6 + ip.packed)


def listen(address: str, port: int) -> socket.socket:
    """Return a listening TCP socket in the present namespace; it stays there wherever it is used."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(128)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def namespace_mark(namespace: str) -> tuple[int, int] | None:
    """Something that changes when a namespace was made anew; None when there is none."""
    try:
        found = Path(f"/run/netns/{namespace}").stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _write_sysctl(name: str, value: str) -> None:
    path = SYSCTL / name
    try:
        if path.read_text().strip() != value:
            path.write_text(value)
    except OSError as error:
        # A kernel without IPv6 has none of its switches.
        if error.errno not in (errno.ENOENT, errno.EINVAL):
            raise


@contextlib.contextmanager
def _explained(what: str) -> Iterator[None]:
    try:
        yield
    except (NetlinkError, OSError) as error:
        raise LinkFailed(f"{what} could not be made: {error}") from error
