import ipaddress

from novakit.agent import address


def test_the_own_address_is_one_or_none() -> None:
    own = address.own()
    assert own is None or not ipaddress.ip_address(own).is_unspecified
