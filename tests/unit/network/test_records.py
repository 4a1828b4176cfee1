"""What was left out of a request is told from null."""

from novakit.network.ports import PortChange
from novakit.network.records import LEFT_OUT, WantedAddress, derived_id, either, sent


def test_what_was_left_out_is_false_and_gives_way_to_the_default() -> None:
    assert not LEFT_OUT
    assert either(LEFT_OUT, 7) == 7
    assert either(0, 7) == 0
    assert either(None, 7) is None


def test_what_was_sent_is_told_from_what_was_not() -> None:
    assert sent(PortChange(host=None, port_security=False)) == {"host": None, "port_security": False}
    assert sent(WantedAddress()) == {}


def test_two_makers_of_one_thing_give_it_the_same_id() -> None:
    assert derived_id("dhcp-port", "a") == derived_id("dhcp-port", "a")
    assert len({derived_id(kind, key) for kind in ("dhcp-port", "default-group") for key in ("a", "b")}) == 4
