"""What the DHCP servers are told."""

import asyncio
import contextlib
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest

from novakit_hookspecs.networks import Lease
from novakit_hookspecs.testing.topologies import Draft, new_id
from novakit_net_linux import dhcp


def lease(hostname: str, ip: str = "10.1.0.11", mac: str = "fa:16:3e:00:00:11") -> Lease:
    return Lease(port_id=new_id(), mac=mac, ip=ip, hostname=hostname)


@pytest.mark.parametrize(
    ("wanted", "given"),
    [
        ("web", "web"),
        ("Web.example.org", "web"),
        ("a\ndhcp-option=3,6.6.6.6", "host-10-1-0-11"),
        ("x,ignore", "host-10-1-0-11"),
        ("-dash", "host-10-1-0-11"),
        ("n" * 64, "host-10-1-0-11"),
        ("", "host-10-1-0-11"),
        ("é", "host-10-1-0-11"),
        ("#", "host-10-1-0-11"),
    ],
)
def test_only_a_label_is_a_host_name(wanted: str, given: str) -> None:
    assert dhcp.safe_hostname(wanted, "10.1.0.11") == given


def test_leases_are_one_line_each_and_names_are_told_once() -> None:
    network = attrs.evolve(
        Draft().network(),
        leases=(lease("web"), lease("web", "10.1.0.12", "fa:16:3e:00:00:12"), lease("far", "192.0.2.1")),
    )
    hosts = dhcp.render(network, "nd-0", 3).hosts
    assert hosts == "fa:16:3e:00:00:11,10.1.0.11,web\nfa:16:3e:00:00:12,10.1.0.12,host-10-1-0-12\n"


def test_a_lease_with_a_bad_address_is_refused() -> None:
    for bad in (lease("web", "10.1.0.11\n"), lease("web", mac="fa:16:3e:00:00:11,ignore")):
        with pytest.raises(ValueError, match=r".+"):
            dhcp.check(bad)


def test_a_subnet_without_gateway_names_no_router() -> None:
    network = Draft().network()
    subnet = attrs.evolve(network.subnets[0], gateway_ip=None, host_routes=(("10.9.0.0/16", "10.1.0.9"),))
    options = dhcp.render(attrs.evolve(network, subnets=(subnet,)), "nd-0", 3).options.splitlines()
    tag = "tag:s" + subnet.id.replace("-", "")
    assert f"{tag},option:router" in options
    routes = "169.254.169.254/32,10.1.0.2,10.9.0.0/16,10.1.0.9"
    assert f"{tag},option:classless-static-route,{routes}" in options


def test_dnsmasq_answers_no_names_and_gives_no_strangers_addresses() -> None:
    config = dhcp.render(Draft().network(), "nd-0", 3).config.splitlines()
    assert {"port=0", "no-resolv", "no-hosts"} <= set(config)
    assert all("static" in line for line in config if line.startswith("dhcp-range"))


def test_the_files_of_a_network_are_these() -> None:
    draft = Draft()
    drawn = draft.network()
    port = draft.port(drawn, "10.1.0.11")
    (network,) = draft.topology().networks
    (subnet,) = network.subnets
    tag = "s" + subnet.id.replace("-", "")
    files = dhcp.render(network, "nd-0", 3)
    assert files.config.splitlines() == [
        "# device 3",
        "port=0",
        "bind-interfaces",
        "interface=nd-0",
        "except-interface=lo",
        "no-hosts",
        "no-resolv",
        "no-ping",
        "leasefile-ro",
        "dhcp-authoritative",
        "dhcp-lease-max=1000",
        f"dhcp-range=set:{tag},10.1.0.0,static,255.255.255.0,86400s",
    ]
    assert files.hosts == f"{port.mac},10.1.0.11,guest-{port.mac[-2:]}\n"
    assert files.options.splitlines() == [
        "option:mtu,1442",
        f"tag:{tag},option:router,10.1.0.1",
        f"tag:{tag},option:classless-static-route,169.254.169.254/32,10.1.0.2,0.0.0.0/0,10.1.0.1",
        f"tag:{tag},option:dns-server,192.0.2.53",
    ]


def test_a_subnet_without_dhcp_or_of_ipv6_is_not_served() -> None:
    network = Draft().network()
    (subnet,) = network.subnets
    for other in (attrs.evolve(subnet, dhcp=False), attrs.evolve(subnet, cidr="2001:db8::/64", gateway_ip=None)):
        files = dhcp.render(attrs.evolve(network, subnets=(other,), leases=(lease("web"),)), "nd-0", 3)
        assert "dhcp-range" not in files.config
        assert files.hosts == ""
        assert files.options == "option:mtu,1442\n"


def test_room_for_leases_grows_with_the_network() -> None:
    leases = tuple(lease(f"g{n}", f"10.1.{n // 250}.{n % 250}") for n in range(501))
    assert "dhcp-lease-max=1002" in dhcp.render(attrs.evolve(Draft().network(), leases=leases), "nd-0", 3).config


def test_a_gateway_outside_the_subnet_is_named_and_not_routed_to() -> None:
    network = Draft().network()
    subnet = attrs.evolve(network.subnets[0], gateway_ip="192.0.2.1", dns_servers=("2001:db8::53",))
    options = dhcp.render(attrs.evolve(network, subnets=(subnet,)), "nd-0", 3).options
    assert "option:router,192.0.2.1" in options
    assert "0.0.0.0/0" not in options
    assert "dns-server" not in options, "the only one is of IPv6, which this service does not tell"


def test_a_mac_is_written_as_dnsmasq_compares_it() -> None:
    network = attrs.evolve(Draft().network(), leases=(lease("web", mac="FA:16:3E:00:00:AB"),))
    assert dhcp.render(network, "nd-0", 3).hosts == "fa:16:3e:00:00:ab,10.1.0.11,web\n"


@contextlib.contextmanager
def _many_files() -> Iterator[None]:
    """Have so many files open that the next one has a number that `select` does not take."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    null = os.open(os.devnull, os.O_RDONLY)
    held = [null]
    try:
        while held[-1] < 1100:
            held.append(os.dup(null))
        yield
    finally:
        for each in held:
            os.close(each)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_server_is_ours_by_its_command_line_and_not_by_its_number(tmp_path: Path) -> None:
    servers, network = dhcp.DhcpServers(tmp_path, 5.0), new_id()
    home = tmp_path / "dhcp" / network
    assert servers.known() == [] and servers.process(network) is None
    home.mkdir(parents=True)
    assert servers.known() == [network]
    for text in ("", "x", "999999999", str(os.getpid())):
        (home / "pid").write_text(text)
        assert servers.process(network) is None, text
    script = "import time; time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", script, f"--conf-file={home / 'dnsmasq.conf'}"]) as process:
        try:
            (home / "pid").write_text(f"{process.pid}\n")
            assert wait(lambda: servers.process(network)) == process.pid
            with _many_files():
                asyncio.run(servers.stop(network))
            assert process.wait(10) == -signal.SIGKILL
        finally:
            process.kill()
    assert not home.exists()
    asyncio.run(servers.stop(network))


def wait(ask: Callable[[], int | None]) -> int | None:
    """Ask until there is an answer: a process has its command line only once it is started."""
    end = time.monotonic() + 10
    while (answer := ask()) is None and time.monotonic() < end:
        time.sleep(0.01)
    return answer
