"""What is installed is read as often as it must be: it takes 15 ms each time."""

import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path

import pytest

from novakit import app
from novakit.config import Config
from novakit.plughost import GROUPS, discover, offerings


def test_a_start_reads_once_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    reads = 0

    def counted() -> Iterator[Distribution]:
        nonlocal reads
        reads += 1
        yield from distributions()

    monkeypatch.setattr(sys.modules[discover.__module__], "distributions", counted)
    config, plugins = app.look_ahead(Config(state=Path("/nonexistent")))
    assert plugins.driver(config.driver).spec.simulates
    assert reads == 1


def test_what_was_read_tells_the_same_of_each_group() -> None:
    among = offerings()
    for group in GROUPS.values():
        found = [(one.plugin.key, one.plugin.distribution, one.default) for one in discover([group], among=among)]
        assert found == [(one.plugin.key, one.plugin.distribution, one.default) for one in discover([group])]


def test_what_one_marks_does_not_mark_what_another_is_told() -> None:
    among = offerings()
    first, second = discover(among=among), discover(among=among)
    assert first
    assert not {id(one.plugin) for one in first} & {id(one.plugin) for one in second}
