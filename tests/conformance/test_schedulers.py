"""The suite of scheduler drivers: over the example, and over drivers with one fault each."""

import importlib.util
import inspect
import types
from pathlib import Path
from typing import Any

import pytest

from novakit_hookspecs.ranking import SchedulerSpec
from novakit_hookspecs.testing.asks import asks
from novakit_hookspecs.testing.schedulers import SchedulerConformance

HERE = Path(__file__).parent


def load(path: Path) -> types.ModuleType:
    found = importlib.util.spec_from_file_location(path.stem, path)
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


allocator = load(HERE.parent / "data" / "plugins" / "allocator" / "novakit_allocator.py")
broken = load(HERE / "broken_schedulers.py")
CASES = [(test, kind) for test, kinds in broken.SCHEDULERS.items() for kind in kinds]


class TestAllocator(SchedulerConformance):
    sizes = (1, 40)
    seeds = (1, 2)

    @pytest.fixture
    def spec(self) -> SchedulerSpec:
        (spec,) = allocator.novakit_schedulers()
        assert isinstance(spec, SchedulerSpec)
        return spec

    @pytest.fixture
    def options(self, tmp_path: Path) -> Any:
        (tmp_path / "worth.json").write_text('{"host0": 2, "host7": -1.5}')
        return allocator.AllocatorOptions(file=str(tmp_path / "worth.json"))


@pytest.mark.parametrize(("test", "kind"), CASES, ids=lambda value: getattr(value, "__name__", value))
def test_a_faulty_driver_is_caught_by_the_test_meant_for_it(test: str, kind: type) -> None:
    spec = SchedulerSpec(name="faulty", api=1, build=lambda _: kind(), reads={"free_vcpus"})
    given = {"spec": spec, "driver": kind(), "requests": list(asks())}
    method = getattr(SchedulerConformance(), test)
    with pytest.raises((AssertionError, ValueError)):
        method(**{name: given[name] for name in inspect.signature(method).parameters})
