"""Whose request it is: the peer's, unless a proxy that is trusted says otherwise."""

import ipaddress

import pytest
from aiohttp.test_utils import make_mocked_request

from novakit.front.addresses import bucket, client_of, forwarded_scheme, is_trusted

PROXIES = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8"))


def request_from(peer: str, *forwarded: str, proto: str | None = None):  # type: ignore[no-untyped-def]
    headers = [("X-Forwarded-For", line) for line in forwarded]
    if proto is not None:
        headers.append(("X-Forwarded-Proto", proto))
    from multidict import CIMultiDict

    return make_mocked_request("GET", "/", headers=CIMultiDict(headers)).clone(remote=peer)


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.1", (), "192.0.2.1"),
        ("192.0.2.1", ("198.51.100.9",), "192.0.2.1"),
        ("10.0.0.1", ("198.51.100.9",), "198.51.100.9"),
        ("10.0.0.1", ("6.6.6.6, 198.51.100.9",), "198.51.100.9"),
        ("10.0.0.1", ("6.6.6.6", "198.51.100.9"), "198.51.100.9"),
        ("10.0.0.1", ("198.51.100.9, 10.0.0.2",), "198.51.100.9"),
        ("10.0.0.1", ("10.0.0.3, 10.0.0.2",), "10.0.0.3"),
        ("10.0.0.1", ("198.51.100.9, nonsense",), "10.0.0.1"),
        ("10.0.0.1", ("",), "10.0.0.1"),
        ("10.0.0.1", (), "10.0.0.1"),
        ("fd00::1", ("2001:db8::5",), "2001:db8::5"),
    ],
)
def test_only_what_trusted_proxies_added_is_believed(peer: str, forwarded: tuple[str, ...], client: str) -> None:
    assert client_of(request_from(peer, *forwarded), PROXIES) == client


def test_without_trusted_proxies_the_header_says_nothing() -> None:
    assert client_of(request_from("10.0.0.1", "198.51.100.9"), ()) == "10.0.0.1"


@pytest.mark.parametrize(
    ("peer", "said", "scheme"),
    [
        ("10.0.0.1", "https", "https"),
        ("10.0.0.1", "HTTP", "http"),
        ("10.0.0.1", "javascript", None),
        ("10.0.0.1", None, None),
        ("192.0.2.1", "https", None),
    ],
)
def test_the_scheme_is_a_trusted_proxys_to_say(peer: str, said: str | None, scheme: str | None) -> None:
    assert forwarded_scheme(request_from(peer, proto=said), PROXIES) == scheme


@pytest.mark.parametrize(
    ("address", "counted_as"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        (None, "unknown"),
    ],
)
def test_one_customer_is_one_client(address: str | None, counted_as: str) -> None:
    assert bucket(address) == counted_as


def test_what_is_no_address_is_not_trusted() -> None:
    assert not is_trusted(None, PROXIES)
    assert not is_trusted("proxy.example", PROXIES)
    assert is_trusted("::ffff:10.1.1.1", PROXIES)
