"""The conformance suite of scheduler weighers; needs NumPy beside pytest."""

import time
from collections.abc import Sequence

import numpy as np
import pytest

from novakit_hookspecs import columns
from novakit_hookspecs.scheduling import Ask
from novakit_hookspecs.testing.asks import ask, asks
from novakit_hookspecs.testing.filters import declared
from novakit_hookspecs.testing.hosts import HostRows, host_table, many_hosts, random_hosts
from novakit_hookspecs.weighing import API, ColumnWeigher, WeigherSpec

__all__ = ["WeigherConformance", "ask", "asks", "host_table", "random_hosts"]


class WeigherConformance:
    """What every weigher holds to, whatever it prefers."""

    sizes = (1, 7, 100)
    seeds = (1, 2, 3)
    within_ms = 2.0
    """Milliseconds for 10,000 hosts."""

    @pytest.fixture
    def spec(self) -> WeigherSpec:
        """Return the record under test."""
        raise AssertionError("define a fixture `spec` that gives your WeigherSpec")

    @pytest.fixture
    def options(self, spec: WeigherSpec) -> object:
        """Return the options to build it with: the defaults, unless a subclass says otherwise."""
        return spec.options() if spec.options is not None else None

    @pytest.fixture
    def weigher(self, spec: WeigherSpec, options: object) -> ColumnWeigher:
        return spec.build(options)

    @pytest.fixture
    def requests(self) -> Sequence[Ask]:
        """Return the requests to try; a subclass adds those that its weigher is for."""
        return list(asks())

    def tables(self) -> list[HostRows]:
        """Return the tables to try."""
        metrics = ("power_usage_watts", "cpu_percent", "uptime_hours", "failure_rate")
        return [random_hosts(size, seed, metrics=metrics) for size in self.sizes for seed in self.seeds]

    def test_it_speaks_this_api(self, spec: WeigherSpec) -> None:
        assert spec.api == API, f"set api={API} in the WeigherSpec; the number of the contract it was written for"

    def test_it_reads_known_facts_only(self, spec: WeigherSpec) -> None:
        assert not columns.unknown(spec.reads), "name facts from novakit_hookspecs.columns in `reads`"

    def test_it_scores(self, weigher: ColumnWeigher) -> None:
        assert isinstance(weigher, ColumnWeigher), "give it score(hosts, ask)"

    def test_its_score_is_a_number_for_each_host(self, weigher: ColumnWeigher, requests: Sequence[Ask]) -> None:
        for table in self.tables():
            for one in requests:
                score = weigher.score(table, one)
                assert isinstance(score, np.ndarray), f"score() returned {type(score).__name__}; return a NumPy array"
                assert score.dtype.kind in "fiu", f"the score's dtype is {score.dtype}; return numbers"
                assert score.shape == (table.size,), f"the score has shape {score.shape} for {table.size} hosts"
                assert not np.isinf(score).any(), f"a score is infinite; divide only where the divisor is not 0: {one}"

    def test_it_takes_an_empty_table(self, weigher: ColumnWeigher, requests: Sequence[Ask]) -> None:
        for one in requests:
            assert weigher.score(random_hosts(0, 1), one).shape == (0,)

    def test_the_same_question_has_the_same_answer(self, weigher: ColumnWeigher, requests: Sequence[Ask]) -> None:
        for table in self.tables():
            for one in requests:
                first, again = weigher.score(table, one).copy(), weigher.score(table, one)
                assert np.array_equal(first, again, equal_nan=True), f"it answers differently the second time: {one}"

    def test_it_reads_nothing_that_it_did_not_declare(
        self, spec: WeigherSpec, weigher: ColumnWeigher, requests: Sequence[Ask]
    ) -> None:
        for table in self.tables():
            for one in requests:
                table.read.clear()
                weigher.score(table, one)
                strange = {name for name in table.read if not declared(spec.reads, name)}
                assert not strange, f"add {sorted(strange)} to `reads`"

    def test_it_leaves_the_columns_alone(self, weigher: ColumnWeigher, requests: Sequence[Ask]) -> None:
        for table in self.tables():
            before = {name: array.copy() for name, array in table.arrays.items()}
            for one in requests:
                weigher.score(table, one)
            for name, array in before.items():
                same = np.array_equal(array, table.arrays[name], equal_nan=array.dtype.kind == "f")
                assert same, f"it wrote into {name}; work on a copy"

    def test_a_host_is_scored_by_itself(self, weigher: ColumnWeigher, requests: Sequence[Ask]) -> None:
        for table in self.tables():
            rows = list(range(table.size))[::-2]
            for one in requests:
                whole, part = weigher.score(table, one), weigher.score(table.some(rows), one)
                same = np.allclose(whole[rows], part, equal_nan=True)
                assert same, f"a host's score depends on which others there are; the core does the scaling: {one}"

    def test_it_is_fast_enough(self, weigher: ColumnWeigher, requests: Sequence[Ask]) -> None:
        table = many_hosts()
        for one in requests[:3]:
            spent = min(_timed(weigher, table, one) for _ in range(5))
            assert spent <= self.within_ms, f"{spent:.2f} ms for 10,000 hosts is more than {self.within_ms} ms"


def _timed(weigher: ColumnWeigher, table: HostRows, one: Ask) -> float:
    started = time.perf_counter()
    weigher.score(table, one)
    return (time.perf_counter() - started) * 1000
