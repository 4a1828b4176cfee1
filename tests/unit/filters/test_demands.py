"""What is lacking, host by host, and the remedy of the nearest."""

import numpy as np

from novakit_filters.demands import Demand, unmet


def demand(name: str, *fits: int, **more: object) -> Demand:
    return Demand(name, f"lack {name}", f"a {name}", np.array(fits, np.bool_), **more)  # type: ignore[arg-type]


def test_each_host_is_told_of_the_first_thing_that_it_lacks() -> None:
    reasons = unmet([demand("a", 0, 1, 0), demand("b", 0, 0, 1)])
    assert [(one.code, one.count, one.message) for one in reasons] == [("a", 2, "lack a"), ("b", 1, "lack b")]


def test_the_remedy_is_all_that_the_nearest_host_lacks_and_the_shortfall_its_share() -> None:
    first, second = unmet([demand("a", 0, 1, 0), demand("b", 0, 0, 1), demand("c", 0, 1, 1)])
    assert (first.remedy, first.shortfall) == ("a a", 1 / 3)
    assert (second.remedy, second.shortfall) == ("a b", 1 / 3)
    (both,) = unmet([demand("a", 0), demand("b", 0), demand("c", 1)])
    assert (both.remedy, both.shortfall) == ("a a and a b", 2 / 3)


def test_a_remedy_that_two_demands_share_is_told_once() -> None:
    twice = [Demand(code, "lack it", "the trait X", np.array([False])) for code in ("a", "b")]
    (reason,) = unmet(twice)
    assert reason.remedy == "the trait X"


def test_what_there_is_instead_is_asked_of_the_hosts_that_lack_it_first() -> None:
    asked: list[list[bool]] = []

    def there(some: object) -> str:
        asked.append(some.tolist())  # type: ignore[attr-defined]
        return "less"

    reasons = unmet([demand("a", 0, 1), demand("b", 0, 0, wanted=7, there=there)])
    assert [(one.wanted, one.available) for one in reasons] == [(None, None), (7, "less")]
    assert asked == [[False, True]]


def test_where_all_is_met_nothing_is_said() -> None:
    assert unmet([demand("a", 1, 1)]) == []
