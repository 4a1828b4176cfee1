"""How much a message of a host may hold."""

import pytest

from novakit.bus import bounds


def nested(levels: int) -> object:
    return [nested(levels - 1)] if levels else 1


@pytest.mark.parametrize(
    "value",
    ["x" * bounds.LONGEST, [0] * bounds.MOST, nested(bounds.DEEPEST), bounds.HIGHEST - 1, {"a": [None, True, 1.5]}],
    ids=["text", "list", "levels", "number", "plain"],
)
def test_what_is_just_within_the_bounds_is_taken(value: object) -> None:
    bounds.check(value, "report")


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ({"log": "x" * (bounds.LONGEST + 1)}, r"report\.log has \d+ characters"),
        ({"guests": [0] * (bounds.MOST + 1)}, r"report\.guests has \d+ members"),
        ({str(number): 0 for number in range(bounds.MOST + 1)}, "report has"),
        (nested(bounds.DEEPEST + 1), "levels"),
        ({"load": -bounds.HIGHEST}, r"report\.load is a number that is not accepted"),
        ({"x" * (bounds.LONGEST + 1): 0}, "a name in report has"),
        ({"set": {1, 2}}, r"report\.set is a set"),
    ],
    ids=["text", "list", "object", "levels", "number", "name", "kind"],
)
def test_what_is_above_them_is_refused_by_its_name(value: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        bounds.check(value, "report")
