"""The suites catch what they are for: each faulty filter and weigher fails the test meant for it."""

import importlib.util
import inspect
from pathlib import Path
from typing import Any

import pytest

from novakit_hookspecs.scheduling import FilterSpec
from novakit_hookspecs.testing.asks import asks
from novakit_hookspecs.testing.filters import FilterConformance
from novakit_hookspecs.testing.weighers import WeigherConformance
from novakit_hookspecs.weighing import WeigherSpec

_found = importlib.util.spec_from_file_location("broken_scheduling", Path(__file__).with_name("broken_scheduling.py"))
assert _found is not None and _found.loader is not None
broken = importlib.util.module_from_spec(_found)
_found.loader.exec_module(broken)

FILTER_CASES = [(test, kind) for test, kinds in broken.FILTERS.items() for kind in kinds]
WEIGHER_CASES = [(test, kind) for test, kinds in broken.WEIGHERS.items() for kind in kinds]


def run(suite: Any, test: str, **given: Any) -> None:
    method = getattr(suite, test)
    method(**{name: given[name] for name in inspect.signature(method).parameters})


@pytest.mark.parametrize(("test", "kind"), FILTER_CASES, ids=lambda value: getattr(value, "__name__", value))
def test_a_faulty_filter_is_caught_by_the_test_meant_for_it(test: str, kind: type) -> None:
    spec = FilterSpec(name="faulty", api=1, build=lambda _: kind(), reads={"free_vcpus"})
    with pytest.raises((AssertionError, ValueError)):
        run(FilterConformance(), test, spec=spec, filter=kind(), requests=list(asks()))


@pytest.mark.parametrize(("test", "kind"), WEIGHER_CASES, ids=lambda value: getattr(value, "__name__", value))
def test_a_faulty_weigher_is_caught_by_the_test_meant_for_it(test: str, kind: type) -> None:
    spec = WeigherSpec(name="faulty", api=1, build=lambda _: kind(), reads={"free_vcpus"})
    with pytest.raises(AssertionError):
        run(WeigherConformance(), test, spec=spec, weigher=kind(), requests=list(asks()))
