"""A plugin's options are filled from its table, and what is wrong is said in one sentence."""

from collections.abc import Mapping, Sequence

import attrs
import pytest

from novakit.config.options import fill
from novakit.errors import ConfigError
from novakit_hookspecs.fields import tuple_field


def _even(_: object, attribute: "attrs.Attribute[int]", value: int) -> None:
    if value % 2:
        raise ValueError(f"{attribute.name} takes an even number, not {value}")


@attrs.frozen(kw_only=True)
class Rule:
    kind: str
    lanes: int = attrs.field(default=2, validator=_even)


@attrs.frozen(kw_only=True)
class Options:
    pci: tuple[Rule, ...] = tuple_field()
    ratio: float = 1.0
    strict: bool = False
    uri: str = ""
    names: tuple[str, ...] = tuple_field()
    shares: Mapping[str, float] = attrs.field(factory=dict)
    group: str | None = None
    order: Sequence[str] = ()


def test_records_are_filled_from_a_list_of_tables() -> None:
    raw = {"pci": [{"kind": "a100"}, {"kind": "vf", "lanes": 8}], "ratio": 2, "strict": True}
    made = fill("[drivers.x]", Options, raw)
    assert made == Options(pci=(Rule(kind="a100"), Rule(kind="vf", lanes=8)), ratio=2.0, strict=True)
    assert isinstance(made.ratio, float)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({"pci": [{"kind": "a"}, {}]}, r"pci\[1\] kind: is required"),
        ({"pci": [{"kind": "a"}, {"kind": "a", "lanes": 3}]}, r"pci\[1\].*: lanes takes an even number, not 3"),
        ({"pci": [{"kind": "a"}, {"kind": 1002}]}, r"pci\[1\] kind: takes a text, not 1002"),
        ({"pci": [{"kind": "a"}, {"kind": "a", "lane": 2}]}, r"pci\[1\] has no key 'lane'.*Did you mean 'lanes'\?"),
        ({"pci": [{"kind": "a"}, "a100"]}, r"pci\[1\] takes a table of keys, not 'a100'"),
        ({"pci": {"kind": "a"}}, r"pci: takes a list, not \{'kind': 'a'\}"),
        ({"pci": "abc"}, r"pci: takes a list, not 'abc'"),
        ({"order": "abc"}, r"order: takes a list, not 'abc'"),
        ({"strict": 1}, r"strict: takes true or false, not 1"),
        ({"ratio": True}, r"ratio: takes a number, not True"),
        ({"ratio": "1"}, r"ratio: takes a number, not '1'"),
        ({"colour": 1}, r"has no key 'colour'; it takes pci, ratio, strict, uri, names, shares, group, order\.$"),
        ({"uri": "qemu:///system\0"}, r"uri: takes a text without control characters, not 'qemu:///system\\x00'"),
        ({"uri": "a\nb"}, r"uri: takes a text without control characters, not 'a\\nb'"),
        ({"names": ["a", "b\x7f"]}, r"names\[1\]: takes a text without control characters"),
        ({"shares": {"a\tb": 1.0}}, r"shares.*: takes a text without control characters"),
        ({"group": "a\r"}, r"group: takes a text without control characters"),
        ({"pci": [{"kind": "\x1b[2J"}]}, r"pci\[0\] kind: takes a text without control characters"),
        ({"uri": "a\x85"}, r"uri: takes a text without control characters, not 'a\\x85'"),
        ("x", r"takes a table of keys, not 'x'"),
    ],
)
def test_what_is_wrong_is_one_sentence_that_names_the_key(raw: object, said: str) -> None:
    with pytest.raises(ConfigError, match=rf"^\[drivers\.x\] ?{said}") as caught:
        fill("[drivers.x]", Options, raw)  # type: ignore[arg-type]
    assert "; [drivers" not in str(caught.value)


LINES = "-----BEGIN KEY-----\r\n\tMIIB\r\n-----END KEY-----\n"


def test_texts_of_lines_are_taken_where_they_may_be() -> None:
    raw = {"uri": LINES, "names": [LINES], "shares": {LINES: 1.0}, "group": LINES, "pci": [{"kind": LINES}]}
    assert fill("[drivers.x]", Options, raw, lines=True) == Options(
        uri=LINES, names=(LINES,), shares={LINES: 1.0}, group=LINES, pci=(Rule(kind=LINES),)
    )


@pytest.mark.parametrize("raw", [{"uri": "a\0"}, {"names": ["\x1b[2J"]}, {"pci": [{"kind": "a\x0b"}]}])
def test_other_control_characters_are_refused_in_texts_of_lines_too(raw: Mapping[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"takes a text without control characters but newlines and tabs, not '"):
        fill("[drivers.x]", Options, raw, lines=True)
