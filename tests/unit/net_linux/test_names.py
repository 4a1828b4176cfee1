"""Names on the host: short enough for the kernel, and told apart from everybody else's."""

import pytest

from novakit_net_linux import names

PORT = "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d"


def test_a_device_carries_as_many_digits_of_its_port_as_fit_into_fifteen_characters() -> None:
    assert names.tap(PORT) == "nkt0a1b2c3d4e5f"
    assert names.device(names.ROUTER, PORT) == "qr-0a1b2c3d4e5f"
    assert names.device("x", PORT) == "x0a1b2c3d4e5f4a"
    assert {len(names.device(prefix, PORT)) for prefix in ("x", names.TAP, names.GATEWAY)} == {15}


def test_a_namespace_carries_the_whole_id_and_gives_it_back() -> None:
    assert names.dhcp_namespace(PORT) == f"nkd-{PORT}"
    assert names.router_namespace(PORT) == f"nkr-{PORT}"
    assert names.namespace_owner(names.dhcp_namespace(PORT)) == PORT
    assert names.namespace_owner(names.router_namespace(PORT)) == PORT


@pytest.mark.parametrize(
    "foreign",
    [f"qdhcp-{PORT}", f"nkd-{PORT}x", f"xnkd-{PORT}", f"nkd-{PORT[:-1]}", f"nkd-{PORT.upper()}", f"nkx-{PORT}", "nkd-"],
)
def test_a_namespace_of_anybody_else_has_no_owner_here(foreign: str) -> None:
    assert names.namespace_owner(foreign) is None


@pytest.mark.parametrize(
    ("name", "tap", "service"),
    [
        ("nkt0a1b2c3d4e5f", True, False),
        ("nd-0a1b2c3d4e5f", False, True),
        ("qr-0a1b2c3d4e5f", False, True),
        ("qg-0a1b2c3d4e5f", False, True),
        ("tap0a1b2c3d4e5f", False, False),
        ("nkt0a1b2c3d4e5", False, False),
        ("nkt0a1b2c3d4e5f6", False, False),
        ("qr-0a1b2c3d4e5g", False, False),
        ("eth0", False, False),
    ],
)
def test_a_device_is_known_by_its_name(name: str, tap: bool, service: bool) -> None:
    assert (names.is_tap(name), names.is_service(name)) == (tap, service)


def test_a_patch_port_says_where_it_stands_and_where_it_leads() -> None:
    assert names.patch("br-int", "br-ex") == "nkp-br-int-br-ex"
    assert names.patch("br-ex", "br-int") != names.patch("br-int", "br-ex")
