"""One reader of query strings for every service: what it takes, and what it refuses by name."""

from datetime import UTC, datetime

import pytest

from novakit import errors
from novakit.api import queries


@pytest.mark.parametrize("word", ["true", "1", "on", "yes", "t", "y", "TRUE", " Yes "])
def test_words_for_true(word: str) -> None:
    assert queries.strict_boolean(word, "enabled") is True


@pytest.mark.parametrize("word", ["false", "0", "off", "no", "f", "n", "FALSE"])
def test_words_for_false(word: str) -> None:
    assert queries.strict_boolean(word, "enabled") is False


@pytest.mark.parametrize("word", ["", "2", "maybe", "true,false", "ｔrue"])
def test_other_words_are_refused_by_the_parameters_name(word: str) -> None:
    with pytest.raises(errors.BadRequest, match="enabled"):
        queries.strict_boolean(word, "enabled")


@pytest.mark.parametrize(("text", "value"), [("0", 0), ("7", 7), ("000", 0), ("9" * 18, 10**18 - 1)])
def test_numbers(text: str, value: int) -> None:
    assert queries.number({"limit": text}, "limit") == value


@pytest.mark.parametrize("text", ["", "-1", "+1", "1.5", "1e3", "x", "٣", "9" * 19, " 1"])
def test_what_is_no_number_is_refused_by_the_parameters_name(text: str) -> None:
    with pytest.raises(errors.BadRequest, match="limit"):
        queries.number({"limit": text}, "limit", 25)


def test_a_number_that_is_not_given_is_the_default() -> None:
    assert queries.number({}, "limit", 25) == 25
    assert queries.number({}, "limit") is None


@pytest.mark.parametrize(
    ("text", "hour"),
    [
        ("2030-01-31T12:00:00Z", 12),
        ("2030-01-31T12:00:00", 12),
        ("2030-01-31T12:00:00+02:00", 10),
        ("2030-01-31T12:00:00 00:00", 12),
    ],
)
def test_moments_are_in_utc_unless_they_say_otherwise(text: str, hour: int) -> None:
    assert queries.moment(text, "No.") == datetime(2030, 1, 31, hour, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "yesterday", "2030-13-01", "0001-01-01T00:00:00+23:00"])
def test_what_is_no_moment_is_refused_with_the_complaint(text: str) -> None:
    with pytest.raises(errors.BadRequest, match=r"created_at is wrong\."):
        queries.moment(text, "created_at is wrong.")


def test_a_key_without_a_direction_goes_the_default_way() -> None:
    keys, sortable = ["name", "id"], ("name", "id", "size")
    assert queries.order(keys, ["asc"], sortable, "desc") == [("name", False), ("id", True)]
    assert queries.order(keys, [], sortable, "asc") == [("name", False), ("id", False)]


@pytest.mark.parametrize(
    ("keys", "directions"), [(["owner"], []), (["name"], ["up"]), (["name", "id", "name"], []), (["name"], [""])]
)
def test_orders_that_mean_nothing_are_refused(keys: list[str], directions: list[str]) -> None:
    with pytest.raises(errors.BadRequest, match="Sort by"):
        queries.order(keys, directions, ("name", "id"), "asc")


def test_unknown_parameters_and_words_are_named() -> None:
    with pytest.raises(errors.BadRequest, match="colour"):
        queries.refuse_unknown({"colour": "red", "limit": "1"}, ("limit",))
    with pytest.raises(errors.BadRequest, match="public, private"):
        queries.choice({"visibility": "hidden"}, "visibility", ("public", "private"))
    assert queries.choice({}, "visibility", ("public",)) is None
