"""What a schema found right becomes a record, in one form whatever the spelling."""

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

import attrs
import pytest

from novakit.api import records
from novakit.left_out import LEFT_OUT, LeftOut


@attrs.frozen(kw_only=True)
class Disk:
    size: int
    boots: bool = False


@attrs.frozen(kw_only=True)
class Machine:
    SENT_AS: ClassVar = {"flavor": "flavorRef"}

    name: str
    flavor: str = ""
    count: int | None = None
    ratio: float = 1.0
    disks: Sequence[Disk] = ()
    nics: str | Sequence[Mapping[str, str | None]] | None = None
    zone: str | LeftOut | None = LEFT_OUT
    place: str | Disk = "anywhere"
    below: "Machine | None" = None
    limits: Mapping[str, int] = {}


Small = Annotated[str, str.lower]


@attrs.frozen(kw_only=True)
class Spelt:
    one: Small = ""
    several: Sequence[Small] = ()
    perhaps: Small | LeftOut | None = LEFT_OUT
    named: Mapping[str, Small] = {}


@attrs.frozen(kw_only=True)
class Labels:
    KEEPS_THE_REST: ClassVar = "others"

    name: str = ""
    others: Mapping[str, int]


def test_what_was_left_out_is_told_from_null() -> None:
    assert records.read(Machine, {"name": "a"}) == Machine(name="a")
    assert records.read(Machine, {"name": "a"}).zone is LEFT_OUT
    assert records.read(Machine, {"name": "a", "zone": None}).zone is None
    assert records.read(Machine, {"name": "a", "zone": "z"}).zone == "z"


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ({"count": "007"}, {"count": 7}),
        ({"count": 7.0}, {"count": 7}),
        ({"count": None}, {"count": None}),
        ({"ratio": "1.5"}, {"ratio": 1.5}),
        ({"ratio": 2}, {"ratio": 2.0}),
        ({"flavorRef": 12}, {"flavor": "12"}),
        ({"nics": "auto"}, {"nics": "auto"}),
        ({"nics": [{"uuid": "u", "port": None}]}, {"nics": ({"uuid": "u", "port": None},)}),
        ({"nics": []}, {"nics": ()}),
        ({"disks": [{"size": "3", "boots": "yes"}, {"size": 4}]}, {"disks": (Disk(size=3, boots=True), Disk(size=4))}),
        ({"place": {"size": 1}}, {"place": Disk(size=1)}),
        ({"place": "here"}, {"place": "here"}),
        ({"below": {"name": "b"}}, {"below": Machine(name="b")}),
        ({"limits": {"a": "1", "b": -1}}, {"limits": {"a": 1, "b": -1}}),
        ({"nobody": "knows"}, {}),
    ],
)
def test_each_field_is_kept_in_the_form_of_its_type(sent: dict[str, object], kept: dict[str, object]) -> None:
    read = records.read(Machine, {"name": "a", **sent})
    assert {name: getattr(read, name) for name in kept} == kept
    assert {name: type(getattr(read, name)) for name in kept} == {name: type(value) for name, value in kept.items()}


def test_what_no_field_has_is_kept_where_the_record_says_so() -> None:
    assert records.read(Labels, {"name": "n", "a": "1", "others": 2}) == Labels(name="n", others={"a": 1, "others": 2})
    assert records.read(Labels, {}) == Labels(others={})


def test_a_body_that_is_no_record_is_read_by_its_type() -> None:
    assert records.read(dict[str, int], {"a": "1"}) == {"a": 1}
    assert records.read(tuple[str, ...], ["a", "b"]) == ("a", "b")
    assert records.read(str, "a") == "a"


@pytest.mark.parametrize("word", ["true", "On", "YES", "1", 1, True])
def test_words_for_yes_are_true(word: object) -> None:
    assert records.boolean(word) is True
    assert records.read(Disk, {"size": 1, "boots": word}).boots is True


@pytest.mark.parametrize("word", ["false", "off", "No", "0", 0, False])
def test_words_for_no_are_false(word: object) -> None:
    assert records.boolean(word, default=True) is False


def test_what_is_neither_is_the_default() -> None:
    assert records.boolean("perhaps", default=True) is True
    assert records.boolean(None) is False


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ({"one": "A"}, Spelt(one="a")),
        ({"several": ["A", "b"]}, Spelt(several=("a", "b"))),
        ({"perhaps": "A"}, Spelt(perhaps="a")),
        ({"perhaps": None}, Spelt(perhaps=None)),
        ({"named": {"A": "B"}}, Spelt(named={"A": "b"})),
    ],
)
def test_what_a_type_is_annotated_with_makes_the_kept_spelling(sent: Mapping[str, object], kept: Spelt) -> None:
    assert records.read(Spelt, sent) == kept
