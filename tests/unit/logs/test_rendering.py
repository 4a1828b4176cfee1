"""Lines of the log: what they say survives, and they steer nobody's terminal."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from novakit.logs.rendering import rendered

PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
TREES = st.recursive(PLAIN, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)
STEERING = ("\n", "\x1b", "\x7f", "\x9b", "\u2028", "\u202e")
"""What ends a line, begins what a terminal obeys, or turns the text around."""


@attrs.frozen
class Thing:
    name: str = "a"


class Pair(NamedTuple):
    one: int
    other: Path


class Seconds(float):
    pass


def test_what_is_no_number_is_not_left_out() -> None:
    line = rendered(None, "info", {"event": "x", "deep": [{"value": float("nan")}, (None, 1)]})
    assert line == '{"event": "x", "deep": [{"value": NaN}, [null, 1]]}'


@given(event=st.dictionaries(st.text(), TREES, max_size=5))
def test_a_line_says_what_was_told(event: dict[str, object]) -> None:
    assert json.loads(rendered(None, "info", dict(event))) == event


@given(said=st.text(st.characters(exclude_categories=[])))
def test_no_line_holds_more_than_printable_ascii(said: str) -> None:
    line = rendered(None, "info", {"event": "x", "name": said})
    assert line.isascii() and line.isprintable()
    assert json.loads(line)["name"] == said


@pytest.mark.parametrize("part", STEERING)
def test_what_steers_a_terminal_is_escaped(part: str) -> None:
    assert part not in rendered(None, "info", {"event": "x", "name": f"server{part}"})


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1 << 70, 1 << 70),
        ("\ud800", "\ud800"),
        ({1: "a"}, {"1": "a"}),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02 03:04:05+00:00"),
        (Path("/etc"), "/etc"),
        (Thing(), "Thing(name='a')"),
        (Pair(1, Path("/etc")), [1, "/etc"]),
        (Seconds(1.5), 1.5),
        (float("inf"), float("inf")),
        ([Seconds("-inf"), None], [float("-inf"), None]),
    ],
)
def test_what_is_no_json_is_written_as_text_is(value: object, shown: object) -> None:
    assert json.loads(rendered(None, "info", {"event": "x", "value": value}))["value"] == shown
