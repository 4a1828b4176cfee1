"""The conformance suite of scheduler drivers; needs NumPy beside pytest."""

import time
from collections.abc import Sequence

import numpy as np
import pytest

from novakit_hookspecs import columns
from novakit_hookspecs.ranking import API, Ranker, SchedulerSpec
from novakit_hookspecs.scheduling import Ask, Explains, Reason
from novakit_hookspecs.testing.asks import ask, asks
from novakit_hookspecs.testing.filters import declared
from novakit_hookspecs.testing.hosts import HostRows, host_table, many_hosts, random_hosts

__all__ = ["SchedulerConformance", "ask", "asks", "host_table", "random_hosts"]


class SchedulerConformance:
    """What every scheduler driver holds to, whatever it prefers."""

    sizes = (1, 7, 100)
    seeds = (1, 2, 3)

    @pytest.fixture
    def spec(self) -> SchedulerSpec:
        """Return the record under test."""
        raise AssertionError("define a fixture `spec` that gives your SchedulerSpec")

    @pytest.fixture
    def options(self, spec: SchedulerSpec) -> object:
        """Return the options to build it with: the defaults, unless a subclass says otherwise."""
        return None if spec.options is None else spec.options()

    @pytest.fixture
    def driver(self, spec: SchedulerSpec, options: object) -> Ranker:
        """Build what is tested."""
        return spec.build(options)

    @pytest.fixture
    def requests(self) -> Sequence[Ask]:
        """Return the requests to try; a subclass adds those that its driver is for."""
        return list(asks())

    def tables(self) -> list[HostRows]:
        """Return the tables to try."""
        return [random_hosts(size, seed) for size in self.sizes for seed in self.seeds]

    def test_it_speaks_this_api(self, spec: SchedulerSpec) -> None:
        assert spec.api == API, f"set api={API} in the SchedulerSpec; the number of the contract it was written for"

    def test_it_reads_known_facts_only(self, spec: SchedulerSpec) -> None:
        assert not columns.unknown(spec.reads), "name facts from novakit_hookspecs.columns in `reads`"

    def test_it_ranks(self, driver: Ranker) -> None:
        assert isinstance(driver, Ranker), "give it rank(hosts, ask)"

    def test_its_ranking_is_a_number_for_each_host(self, driver: Ranker, requests: Sequence[Ask]) -> None:
        for table in self.tables():
            for one in requests:
                ranks = driver.rank(table, one)
                assert isinstance(ranks, np.ndarray), f"rank() returned {type(ranks).__name__}; return a NumPy array"
                assert ranks.dtype.kind in "fiu", f"the ranking's dtype is {ranks.dtype}; return numbers"
                assert ranks.shape == (table.size,), f"the ranking has shape {ranks.shape} for {table.size} hosts"
                assert not np.isposinf(ranks).any(), (
                    f"a rank must not be infinite, but -inf or NaN for a refusal: {one}"
                )

    def test_it_takes_an_empty_table(self, driver: Ranker, requests: Sequence[Ask]) -> None:
        for one in requests:
            assert driver.rank(random_hosts(0, 1), one).shape == (0,)

    def test_the_same_question_has_the_same_answer(self, driver: Ranker, requests: Sequence[Ask]) -> None:
        for table in self.tables():
            for one in requests:
                first, again = np.array(driver.rank(table, one)), driver.rank(table, one)
                assert np.array_equal(first, again, equal_nan=True), f"it answers differently the second time: {one}"

    def test_it_reads_nothing_that_it_did_not_declare(
        self, spec: SchedulerSpec, driver: Ranker, requests: Sequence[Ask]
    ) -> None:
        for table in self.tables():
            for one in requests:
                table.read.clear()
                driver.rank(table, one)
                strange = {name for name in table.read if not declared(spec.reads, name)}
                assert not strange, f"add {sorted(strange)} to `reads`"

    def test_it_leaves_the_columns_alone(self, driver: Ranker, requests: Sequence[Ask]) -> None:
        for table in self.tables():
            before = {name: array.copy() for name, array in table.arrays.items()}
            for one in requests:
                driver.rank(table, one)
            for name, array in before.items():
                same = np.array_equal(array, table.arrays[name], equal_nan=array.dtype.kind == "f")
                assert same, f"it wrote into {name}; work on a copy"

    def test_its_reasons_count_every_refused_host_and_name_none(self, driver: Ranker, requests: Sequence[Ask]) -> None:
        why = driver.why if isinstance(driver, Explains) else None
        if why is None:
            pytest.skip("it does not say why")
        for table in self.tables():
            for one in requests:
                refused = table.some(np.flatnonzero(~np.isfinite(driver.rank(table, one))).tolist())
                reasons = list(why(refused, one)) if refused.size else []
                assert all(isinstance(reason, Reason) for reason in reasons), "why() gives Reason records"
                assert sum(reason.count for reason in reasons) == refused.size, f"the counts do not add up: {one}"
                told = " ".join(reason.message for reason in reasons)
                assert not any(name in told for name in refused.names), "tenants read the message; name no host in it"

    def test_it_keeps_its_time(self, spec: SchedulerSpec, driver: Ranker, requests: Sequence[Ask]) -> None:
        table = many_hosts()
        for one in requests[:3]:
            spent = min(_timed(driver, table, one) for _ in range(3))
            assert spent <= spec.within, f"{spent:.2f} s for 10,000 hosts is more than `within`, {spec.within} s"


def _timed(driver: Ranker, table: HostRows, one: Ask) -> float:
    started = time.perf_counter()
    driver.rank(table, one)
    return time.perf_counter() - started
