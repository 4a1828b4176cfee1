"""What crosses a process's bus as it is: what would come out of plain data as its equal, and nobody can change."""

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import attrs
import orjson
import pytest

from novakit.bus import bounds
from novakit.bus.contract import methods_of
from novakit.bus.crossing import fitting, is_frozen
from novakit.calls.conductor import ConductorCalls
from novakit.calls.host import HostCalls
from novakit.calls.scheduler import SchedulerCalls
from novakit_hookspecs.fields import mapping_field, tuple_field
from novakit_hookspecs.plain import to_plain, to_record


class Colour(enum.Enum):
    RED = "red"


@attrs.frozen
class Leaf:
    name: str = "leaf"
    colour: Colour = Colour.RED


@attrs.frozen
class Whole:
    number: int = 1
    share: float = 0.5
    is_on: bool = True
    raw: bytes = b"\xff"
    either: str | int | None = None
    some: object = None
    leaf: Leaf | None = None
    leaves: tuple[Leaf, ...] = tuple_field()
    pair: tuple[str, int] = ("a", 1)
    names: frozenset[str] = frozenset()
    by_name: Mapping[str, object] = mapping_field()


@attrs.define
class Open:
    name: str = "open"


@attrs.frozen
class Around:
    inner: "Around | None" = None


@attrs.frozen
class Within:
    inner: Open


FITTING = (
    Whole(),
    Whole(either="ü", leaf=Leaf(), leaves=(Leaf("a"), Leaf("b")), names=frozenset({"x"}), by_name={"a": 1, "b": None}),
    Whole(either=7, some="text", number=bounds.HIGHEST - 1),
)

CHANGES: tuple[dict[str, Any], ...] = (
    {"number": True},
    {"number": 1.0},
    {"number": bounds.HIGHEST},
    {"number": -bounds.HIGHEST},
    {"share": 1},
    {"share": float("nan")},
    {"share": float("inf")},
    {"is_on": 1},
    {"raw": bytearray(b"a")},
    {"raw": b"x" * (bounds.LONGEST + 1)},
    {"either": 0.5},
    {"either": "x" * (bounds.LONGEST + 1)},
    {"either": "\ud800"},
    {"some": ["a list"]},
    {"some": ("a", "tuple")},
    {"some": Leaf()},
    {"leaf": Open()},
    {"leaf": Leaf(name=5)},  # type: ignore[arg-type]
    {"leaf": Leaf(colour="red")},  # type: ignore[arg-type]
    {"leaves": (Leaf(), None)},
    {"leaves": (Leaf(),) * (bounds.MOST + 1)},
    {"pair": ["a", 1]},
    {"pair": ("a", 1, 2)},
    {"pair": (1, "a")},
    {"names": {"x"}},
    {"names": frozenset({5})},
    {"names": frozenset(map(str, range(bounds.MOST + 1)))},
    {"by_name": {5: "number"}},
    {"by_name": {"a": ["list"]}},
    {"by_name": {str(number): 1 for number in range(bounds.MOST + 1)}},
)


@pytest.mark.parametrize("value", FITTING)
def test_what_fits_would_have_come_out_of_plain_data_as_its_equal(value: Whole) -> None:
    assert fitting(Whole)(value)
    assert to_record(orjson.loads(orjson.dumps(to_plain(value))), Whole) == value


@pytest.mark.parametrize(
    "change", CHANGES, ids=lambda change: f"{next(iter(change))}-{type(next(iter(change.values())))}"
)
def test_what_is_otherwise_than_declared_or_out_of_bounds_goes_over_plain_data(change: dict[str, Any]) -> None:
    assert not fitting(Whole)(attrs.evolve(FITTING[1], **change))


def test_a_mapping_that_somebody_may_change_does_not_fit() -> None:
    one = fitting(Mapping[str, str])
    assert one(MappingProxyType({"a": "b"}))
    assert not one({"a": "b"})


def test_records_that_can_change_and_those_of_endless_depth_do_not_fit() -> None:
    assert is_frozen(Leaf) and not is_frozen(Open) and not is_frozen(str)
    assert not fitting(Open)(Open())
    assert not fitting(Within)(Within(Open()))
    assert fitting(Around)(Around()) and not fitting(Around)(Around(Around()))


def test_another_class_than_the_declared_one_does_not_fit() -> None:
    assert not fitting(Whole)(Leaf())
    assert not fitting(list[str])(["a"])
    assert fitting(Leaf | None)(None) and fitting(Leaf | Around)(Around()) and not fitting(Leaf | Around)(None)


@pytest.mark.parametrize("contract", [HostCalls, SchedulerCalls, ConductorCalls], ids=lambda each: each.__name__)
def test_every_call_can_be_looked_at(contract: Any) -> None:
    for method in methods_of(contract).values():
        for kind in (*method.arguments.values(), method.answer):
            assert kind.fits(object()) is False
