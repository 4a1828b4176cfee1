"""Names in a path are looked up only where something could have them."""

import pytest

from novakit.api.compute.parameters import named
from novakit.errors import NotFound


def test_what_may_be_a_name_is_returned_as_it_is() -> None:
    assert named("x" * 255) == "x" * 255 and named("") == ""


@pytest.mark.parametrize("value", ["x" * 256, "a\x00b"])
def test_what_nothing_can_be_named_is_not_found(value: str) -> None:
    with pytest.raises(NotFound):
        named(value)
