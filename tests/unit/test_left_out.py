"""What was left out of a request is told from null."""

from novakit.left_out import LEFT_OUT, either, sent
from novakit.network.ports import PortChange
from novakit.network.records import WantedAddress


def test_what_was_left_out_is_false_and_gives_way_to_the_default() -> None:
    assert not LEFT_OUT
    assert either(LEFT_OUT, 7) == 7
    assert either(0, 7) == 0
    assert either(None, 7) is None


def test_what_was_sent_is_told_from_what_was_not() -> None:
    assert sent(PortChange(host=None, port_security=False)) == {"host": None, "port_security": False}
    assert sent(WantedAddress()) == {}
