"""Fields that the records share."""

from collections import ChainMap, OrderedDict, defaultdict
from collections.abc import Iterator, Mapping
from types import MappingProxyType

import attrs
import pytest

from novakit_hookspecs.fields import frozen_mapping, frozen_names, mapping_field, name_field, tuple_field, uuid_field

ID = "0b3cf1a2-1111-4222-8333-444455556666"


@attrs.frozen(kw_only=True)
class Record:
    id: str = uuid_field()
    name: str = name_field()
    facts: object = mapping_field()
    parts: tuple[int, ...] = tuple_field()


@pytest.mark.parametrize("bad", ["", ID.upper(), ID.replace("-", ""), f"{ID}/..", f"{ID}\n", f" {ID}", "../../etc"])
def test_an_identifier_is_safe_as_the_name_of_a_file(bad: str) -> None:
    assert Record(id=ID, name="a").id == ID
    with pytest.raises(ValueError, match="must match regex"):
        Record(id=bad, name="a")


@pytest.mark.parametrize("bad", ["", "A", "1a", "a-b", "a.b", "a b", "a\n", "a" * 64])
def test_a_name_is_lower_case_and_short(bad: str) -> None:
    for good in ("a", "a1_b", "a" * 63):
        assert Record(id=ID, name=good).name == good
    with pytest.raises(ValueError, match="must match regex"):
        Record(id=ID, name=bad)


def test_what_a_record_was_made_from_changes_it_no_more() -> None:
    facts, parts = {"a": 1}, [1, 2]
    made = Record(id=ID, name="a", facts=facts, parts=parts)  # type: ignore[arg-type]
    facts["b"] = 2
    parts.append(3)
    assert made.facts == {"a": 1} and made.parts == (1, 2)
    with pytest.raises(TypeError):
        made.facts["c"] = 3  # type: ignore[index]
    empty = Record(id=ID, name="a")
    assert empty.facts == {} and empty.parts == ()


class Lone(Mapping[str, int]):
    """A mapping that can do no more than it must."""

    def __getitem__(self, key: str) -> int:
        return ord(key)

    def __iter__(self) -> Iterator[str]:
        return iter("ab")

    def __len__(self) -> int:
        return 2


def test_what_a_view_shows_is_copied_whatever_it_is_of() -> None:
    facts = {"a": 1}
    frozen = frozen_mapping(MappingProxyType(facts))
    facts["b"] = 2
    assert frozen == {"a": 1}
    assert frozen_mapping(frozen) == frozen
    assert frozen_mapping(MappingProxyType(Lone())) == {"a": 97, "b": 98}


def test_a_view_of_another_kind_of_mapping_is_frozen_too() -> None:
    under = {"b": 2}
    chained = frozen_mapping(MappingProxyType(ChainMap({"a": 1}, under)))
    under["c"] = 3
    assert chained == {"a": 1, "b": 2}
    growing = frozen_mapping(MappingProxyType(defaultdict(int, a=1)))
    with pytest.raises(KeyError):
        growing["b"]
    assert growing == {"a": 1}
    assert frozen_mapping(MappingProxyType(OrderedDict(b=2, a=1))) == {"a": 1, "b": 2}


def test_pairs_make_a_mapping_and_names_a_set() -> None:
    assert frozen_mapping([("a", 1)]) == {"a": 1}
    assert frozen_names(["a", "b", "a"]) == {"a", "b"}
