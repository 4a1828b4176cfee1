"""What an inventory gives: no part of a unit, nothing of what is reserved, and never less than nothing."""

import pytest

from novakit.store.placement.inventories import capacity


@pytest.mark.parametrize(
    ("total", "reserved", "ratio", "gives"),
    [
        (8, 0, 16.0, 128),
        (8, 2, 16.0, 96),
        (5, 0, 1.5, 7),
        (3, 0, 0.9, 2),
        (1, 0, 0.9, 0),
        (3, 1, 1.25, 2),
        (8, 8, 4.0, 0),
        (8, 9, 4.0, 0),
        (2**31 - 1, 0, 1e30, 2**62),
    ],
)
def test_the_capacity_of_an_inventory(total: int, reserved: int, ratio: float, gives: int) -> None:
    assert capacity(total, reserved, ratio) == gives
