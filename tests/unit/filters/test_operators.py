import pytest
from hypothesis import given
from hypothesis import strategies as st

from novakit_filters.operators import matches


@pytest.mark.parametrize(
    ("value", "wanted", "expected"),
    [
        ("1", "1", True),
        ("", "1", False),
        ("1", "=1", False),
        (3, "= 1", True),
        (1, "= 2", False),
        ("123", "= 123", True),
        ("124", "= 123", True),
        ("34", "= 234", False),
        (234, "== 234", True),
        (235, "== 234", False),
        (1, "!= 2", True),
        (2, "!= 2", False),
        (3, ">= 2", True),
        (2, ">= 2", True),
        (1, ">= 2", False),
        (2, "<= 2", True),
        (3, "<= 2", False),
        ("a", ">= 2", False),
        (None, ">= 2", False),
        ("xyz", "s== xyz", True),
        ("xyz", "s== xy", False),
        ("xyz", "s!= xy", True),
        ("abc", "s< bcd", True),
        ("bcd", "s< abc", False),
        ("bcd", "s<= bcd", True),
        ("bcd", "s> abc", True),
        ("abc", "s>= bcd", False),
        ("12311321", "<in> 11", True),
        ("12310321", "<in> 11", False),
        (["avx", "aes"], "<in> aes", True),
        (["avx2"], "<in> avx", False),
        (["aes", "mmx", "aux"], "<all-in> aes mmx", True),
        (["aes"], "<all-in> aes mmx", False),
        ("12", "<or> 11 <or> 12", True),
        ("13", "<or> 11 <or> 12", False),
        ("12", "<or> 12 <or>", True),
        (15, "<range-in> [ 10 20 ]", True),
        (10, "<range-in> ( 10 20 ]", False),
        (20, "<range-in> [ 10 20 )", False),
        (20, "<range-in> [ 10 20 ]", True),
        (15, "<range-in> 10 20", False),
        (True, "true", True),
        (1, ">=", False),
        (1, "<or>", False),
        ("x", "<in>", False),
        ("x", "", False),
    ],
)
def test_the_operator_decides_as_its_users_expect(value: object, wanted: str, expected: bool) -> None:
    assert matches(value, wanted) is expected


@given(st.one_of(st.none(), st.integers(), st.text(), st.lists(st.text())), st.text(max_size=500))
def test_nonsense_is_answered_and_never_raises(value: object, wanted: str) -> None:
    assert matches(value, wanted) in (True, False)
