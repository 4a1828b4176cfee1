"""What is derived is the same for whoever derives it."""

from novakit.network.records import derived_id


def test_two_makers_of_one_thing_give_it_the_same_id() -> None:
    assert derived_id("dhcp-port", "a") == derived_id("dhcp-port", "a")
    assert len({derived_id(kind, key) for kind in ("dhcp-port", "default-group") for key in ("a", "b")}) == 4
