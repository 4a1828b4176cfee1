"""What can be taken of one inventory at once."""

import pytest

from novakit_fit.search.provider import Stock


@pytest.mark.parametrize(
    ("amount", "fits"),
    [(1, False), (2, True), (3, False), (4, True), (6, True), (8, False)],
)
def test_an_amount_fits_between_its_units_and_in_their_steps(amount: int, fits: bool) -> None:
    assert Stock(capacity=100, used=0, min_unit=2, max_unit=6, step_size=2).fits(amount) is fits


@pytest.mark.parametrize(("used", "fits"), [(0, True), (4, True), (5, False), (10, False), (12, False)])
def test_an_amount_fits_into_what_is_left_to_the_last_unit(used: int, fits: bool) -> None:
    assert Stock(capacity=10, used=used, min_unit=1, max_unit=10, step_size=1).fits(6) is fits
