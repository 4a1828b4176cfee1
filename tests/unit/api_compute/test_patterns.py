import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novakit import errors
from novakit.compute.patterns import parse


@pytest.mark.parametrize(
    ("expression", "likes"),
    [
        ("web", ["%web%"]),
        ("^web$", ["web"]),
        ("^web", ["web%"]),
        ("a.*b", ["%a%b%"]),
        ("a.b", ["%a_b%"]),
        ("^.+$", ["_%"]),
        ("100%_x", ["%100\\%\\_x%"]),
        (r"^a\.b$", ["a.b"]),
        ("^a$|^b$", ["a", "b"]),
    ],
)
def test_patterns_become_like(expression, likes):
    assert parse(expression).likes() == likes


@pytest.mark.parametrize("expression", ["(a+)+$", "[a-z]", "a{3}", "a?", "a*", r"\d", "(a|b)", "x" * 256])
def test_what_could_take_long_is_refused(expression):
    with pytest.raises(errors.BadRequest):
        parse(expression)


@given(
    st.text("ab.^$", max_size=6).filter(lambda text: "^" not in text[1:] and "$" not in text[:-1]),
    st.text("ab", max_size=8),
)
def test_matching_agrees_with_regular_expressions(expression, text):
    assert parse(expression).matches(text) == bool(re.search(expression, text))


def test_a_long_run_of_wildcards_is_matched_at_once():
    assert not parse(".*a" * 80).matches("a" * 79 + "b" * 176)
