"""The DHCP service of a network: one dnsmasq in the network's namespace.

It answers the NICs it knows, with the addresses it was given, and nothing else: no pool, no DNS.
It outlives us; a file with its number and its command line say whether the one that runs is ours.
"""

import asyncio
import ipaddress
import os
import re
import select
import shutil
import signal
from collections.abc import Iterable, Sequence
from pathlib import Path

import attrs

from novakit_hookspecs.networks import Lease, Network, Subnet
from novakit_net_linux.commands import inside, run
from novakit_net_linux.names import dhcp_namespace

METADATA_IP = "169.254.169.254"
LEASE_SECONDS = 86400
"""A day. Guests renew at half of it, so a DHCP service that is away for hours costs none its address."""
END_WITHIN = 2.0
"""Seconds that dnsmasq gets to end; it needs milliseconds, and keeps nothing that must be saved."""
MAC = re.compile(r"(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


@attrs.frozen(kw_only=True)
class DhcpFiles:
    """What dnsmasq reads."""

    config: str
    """Read once: a change means another process."""
    hosts: str
    """Read again on a signal, as are the options."""
    options: str


def render(network: Network, device: str, index: int) -> DhcpFiles:
    """Compute the files of a network's DHCP service.

    `index` is the device's number: dnsmasq holds on to it, so a device made anew means another process.
    """
    served = [subnet for subnet in network.subnets if subnet.dhcp and ipaddress.ip_network(subnet.cidr).version == 4]
    config = [
        f"# device {index}",
        "port=0",
        "bind-interfaces",
        f"interface={device}",
        "except-interface=lo",
        "no-hosts",
        "no-resolv",
        "no-ping",
        "leasefile-ro",
        "dhcp-authoritative",
        f"dhcp-lease-max={max(1000, 2 * len(network.leases))}",
    ]
    options = [f"option:mtu,{network.mtu}"]
    for subnet in served:
        net = ipaddress.ip_network(subnet.cidr)
        tag = _tag(subnet)
        config.append(f"dhcp-range=set:{tag},{net.network_address},static,{net.netmask},{LEASE_SECONDS}s")
        options += [f"tag:{tag},{option}" for option in _options(network, subnet)]
    return DhcpFiles(
        config="\n".join(config) + "\n",
        hosts="".join(f"{line}\n" for line in _hosts(network.leases, served)),
        options="".join(f"{line}\n" for line in options),
    )


def check(lease: Lease) -> None:
    """Raise `ValueError` when a lease could not be written into a file of dnsmasq's."""
    ipaddress.ip_address(lease.ip)
    if not MAC.fullmatch(lease.mac):
        raise ValueError(f"{lease.mac!r} is not a MAC address")


def _tag(subnet: Subnet) -> str:
    return "s" + subnet.id.replace("-", "")


def _options(network: Network, subnet: Subnet) -> list[str]:
    routes = []
    net = ipaddress.ip_network(subnet.cidr)
    own = [address.ip for address in network.dhcp.addresses if address.subnet_id == subnet.id] if network.dhcp else []
    if own:
        routes.append((f"{METADATA_IP}/32", own[0]))
    routes += [(str(ipaddress.ip_network(dst)), str(ipaddress.ip_address(via))) for dst, via in subnet.host_routes]
    gateway = str(ipaddress.ip_address(subnet.gateway_ip)) if subnet.gateway_ip else None
    if gateway and ipaddress.ip_address(gateway) in net:
        routes.append(("0.0.0.0/0", gateway))
    # An empty option keeps dnsmasq from naming itself.
    options = [f"option:router,{gateway}" if gateway else "option:router"]
    if routes:
        options.append("option:classless-static-route," + ",".join(f"{dst},{via}" for dst, via in routes))
    servers = [str(ip) for ip in map(ipaddress.ip_address, subnet.dns_servers) if ip.version == 4]
    if servers:
        options.append("option:dns-server," + ",".join(servers))
    return options


def _hosts(leases: Iterable[Lease], served: Sequence[Subnet]) -> list[str]:
    nets = [ipaddress.ip_network(subnet.cidr) for subnet in served]
    lines, named = [], set()
    for lease in sorted(leases, key=lambda lease: (lease.mac, lease.ip)):
        ip = ipaddress.ip_address(lease.ip)
        if not any(ip in net for net in nets):
            continue
        name = safe_hostname(lease.hostname, str(ip))
        if name in named:
            name = safe_hostname("", str(ip))
        named.add(name)
        lines.append(f"{lease.mac.lower()},{ip},{name}")
    return lines


def safe_hostname(wanted: str, ip: str) -> str:
    """Return the wanted name if it is one label of a host name, else one made of the address."""
    label = wanted.lower().split(".")[0]
    return label if _LABEL.fullmatch(label) else "host-" + ip.replace(".", "-").replace(":", "-")


class DhcpServers:
    """The dnsmasq processes of this host."""

    def __init__(self, run_dir: Path, timeout: float) -> None:
        self._base = run_dir / "dhcp"
        self._timeout = timeout

    async def serve(self, network: Network, device: str, index: int) -> None:
        """Make the network's server run with these leases: start it, or tell it what changed, or leave it alone."""
        home = self._home(network.id)
        make_passable(home)
        files = render(network, device, index)
        replaced = _write(home / "dnsmasq.conf", files.config)
        told = [_write(home / "hosts", files.hosts), _write(home / "options", files.options)]
        pid = self.process(network.id)
        if pid is not None and (replaced or not self._in_place(network.id, pid)):
            await asyncio.to_thread(_end, pid)
            pid = None
        if pid is None:
            await run(inside(dhcp_namespace(network.id), self._argv(home)), timeout=self._timeout)
        elif any(told):
            os.kill(pid, signal.SIGHUP)

    async def stop(self, network_id: str) -> None:
        """End a network's server and remove its files; the unknown is fine."""
        pid = self.process(network_id)
        if pid is not None:
            await asyncio.to_thread(_end, pid)
        shutil.rmtree(self._home(network_id), ignore_errors=True)

    def known(self) -> list[str]:
        """List the networks that have files of a server here."""
        return sorted(path.name for path in self._base.iterdir()) if self._base.is_dir() else []

    def process(self, network_id: str) -> int | None:
        """Return the number of the network's running server, or None."""
        home = self._home(network_id)
        try:
            pid = int((home / "pid").read_text())
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return None
        return pid if f"--conf-file={home / 'dnsmasq.conf'}".encode() in arguments else None

    def _in_place(self, network_id: str, pid: int) -> bool:
        """Whether the server runs in the namespace that has the network's name now."""
        try:
            here, there = Path(f"/proc/{pid}/ns/net").stat(), Path(f"/run/netns/{dhcp_namespace(network_id)}").stat()
        except OSError:
            return False
        return here.st_ino == there.st_ino

    def _home(self, network_id: str) -> Path:
        return self._base / network_id

    @staticmethod
    def _argv(home: Path) -> list[str]:
        return [
            "dnsmasq",
            f"--conf-file={home / 'dnsmasq.conf'}",
            f"--pid-file={home / 'pid'}",
            f"--dhcp-hostsfile={home / 'hosts'}",
            f"--dhcp-optsfile={home / 'options'}",
        ]


def make_passable(directory: Path) -> None:
    """Make a directory that others may pass through: dnsmasq reads its files again as a user without rights."""
    if not directory.is_dir():
        make_passable(directory.parent)
        directory.mkdir(exist_ok=True)
        directory.chmod(0o755)


def _write(path: Path, text: str) -> bool:
    """Make a file hold the text, in one step. Returns whether that was a change."""
    try:
        if path.read_text() == text:
            return False
    except FileNotFoundError:
        pass
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.chmod(0o644)
    fresh.replace(path)
    return True


def _end(pid: int) -> None:
    """End a process and wait until it is gone, so that its successor finds its address free."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        # Not `select`, which refuses descriptors from 1024 on: an agent of many guests has them.
        ending = select.poll()
        ending.register(handle, select.POLLIN)
        ending.poll(END_WITHIN * 1000)
    except ProcessLookupError:
        return
    finally:
        os.close(handle)
