"""The conformance suite of scheduler filters; needs NumPy beside pytest.

A vendor's whole test:

    class TestCoolRack(FilterConformance):
        @pytest.fixture
        def spec(self):
            return next(spec for spec in novakit_filters() if spec.name == "acme_cool_rack")
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from novakit_hookspecs import columns
from novakit_hookspecs.scheduling import API, Abstains, Ask, ColumnFilter, Explains, FilterSpec, HostFilter, Reason
from novakit_hookspecs.testing.asks import ask, asks
from novakit_hookspecs.testing.hosts import HostRows, host_table, many_hosts, random_hosts

__all__ = ["FilterConformance", "HostRows", "ask", "asks", "host_table", "random_hosts"]


class FilterConformance:
    """What every filter holds to, whatever it is for."""

    sizes = (1, 7, 100)
    seeds = (1, 2, 3)
    within_ms = 2.0
    """Milliseconds for 10,000 hosts in the column form; the per-host form may take 1 microsecond a host more."""

    @pytest.fixture
    def spec(self) -> FilterSpec:
        """Return the record under test."""
        raise AssertionError("define a fixture `spec` that gives your FilterSpec")

    @pytest.fixture
    def options(self, spec: FilterSpec) -> Any:
        """Return the options to build it with: the defaults, unless a subclass says otherwise."""
        return spec.options() if spec.options is not None else None

    @pytest.fixture
    def filter(self, spec: FilterSpec, options: object) -> object:
        return spec.build(options)

    @pytest.fixture
    def requests(self) -> Sequence[Ask]:
        """Return the requests to try; a subclass adds those that its filter is for."""
        return list(asks())

    def tables(self) -> list[HostRows]:
        """Return the tables to try."""
        return [random_hosts(size, seed) for size in self.sizes for seed in self.seeds]

    def test_it_speaks_this_api(self, spec: FilterSpec) -> None:
        assert spec.api == API, f"set api={API} in the FilterSpec; the number of the contract it was written for"

    def test_it_reads_known_facts_only(self, spec: FilterSpec) -> None:
        assert not columns.unknown(spec.reads), "name facts from novakit_hookspecs.columns in `reads`"

    def test_it_has_exactly_one_form(self, filter: object) -> None:
        forms = [isinstance(filter, ColumnFilter), isinstance(filter, HostFilter)]
        assert any(forms), "give it mask(hosts, ask) or passes(host, ask)"

    def test_its_mask_is_a_boolean_for_each_host(
        self, spec: FilterSpec, filter: object, requests: Sequence[Ask]
    ) -> None:
        for table in self.tables():
            for one in requests:
                mask = verdict(spec, filter, table, one)
                assert isinstance(mask, np.ndarray), f"mask() returned {type(mask).__name__}; return a NumPy array"
                assert mask.dtype == np.bool_, f"the mask's dtype is {mask.dtype}; compare, or use astype(bool)"
                assert mask.shape == (table.size,), f"the mask has shape {mask.shape} for {table.size} hosts"

    def test_it_takes_an_empty_table(self, spec: FilterSpec, filter: object, requests: Sequence[Ask]) -> None:
        table = random_hosts(0, 1)
        for one in requests:
            assert verdict(spec, filter, table, one).shape == (0,)

    def test_the_same_question_has_the_same_answer(
        self, spec: FilterSpec, filter: object, requests: Sequence[Ask]
    ) -> None:
        for table in self.tables():
            first = [verdict(spec, filter, table, one).copy() for one in requests]
            again = [verdict(spec, filter, table, one) for one in requests]
            for one, before, after in zip(requests, first, again, strict=True):
                assert np.array_equal(before, after), f"it answers differently the second time: {one}"

    def test_it_reads_nothing_that_it_did_not_declare(
        self, spec: FilterSpec, filter: object, requests: Sequence[Ask]
    ) -> None:
        for table in self.tables():
            for one in requests:
                table.read.clear()
                verdict(spec, filter, table, one)
                strange = {name for name in table.read if not declared(spec.reads, name)}
                assert not strange, f"add {sorted(strange)} to `reads`"

    def test_it_leaves_the_columns_alone(self, spec: FilterSpec, filter: object, requests: Sequence[Ask]) -> None:
        for table in self.tables():
            before = {name: array.copy() for name, array in table.arrays.items()}
            for one in requests:
                verdict(spec, filter, table, one)
            for name, array in before.items():
                same = np.array_equal(array, table.arrays[name], equal_nan=array.dtype.kind == "f")
                assert same, f"it wrote into {name}; work on a copy"

    def test_a_host_is_judged_by_itself(self, spec: FilterSpec, filter: object, requests: Sequence[Ask]) -> None:
        for table in self.tables():
            rows = list(range(table.size))[::-2]
            for one in requests:
                whole, part = verdict(spec, filter, table, one), verdict(spec, filter, table.some(rows), one)
                assert np.array_equal(whole[rows], part), (
                    f"the verdict on a host depends on which others there are: {one}"
                )

    def test_both_forms_agree(self, spec: FilterSpec, filter: object, requests: Sequence[Ask]) -> None:
        if not (isinstance(filter, ColumnFilter) and isinstance(filter, HostFilter)):
            pytest.skip("it has one form only")
        for table in self.tables():
            for one in requests:
                alone = [filter.passes(table.view(row, spec.reads), one) for row in range(table.size)]
                assert list(filter.mask(table, one)) == alone, f"mask() and passes() disagree: {one}"

    def test_where_it_abstains_it_removes_nobody(
        self, spec: FilterSpec, filter: object, requests: Sequence[Ask]
    ) -> None:
        if not isinstance(filter, Abstains):
            pytest.skip("it has no applies()")
        for table in self.tables():
            for one in requests:
                if not filter.applies(one):
                    assert verdict(spec, filter, table, one).all(), f"applies() is False, but it removes hosts: {one}"

    def test_its_reasons_count_every_removed_host_and_name_none(
        self, spec: FilterSpec, filter: object, requests: Sequence[Ask]
    ) -> None:
        if not isinstance(filter, Explains):
            pytest.skip("it has no why()")
        for table in self.tables():
            for one in requests:
                removed = [row for row, passed in enumerate(verdict(spec, filter, table, one)) if not passed]
                if removed and not (isinstance(filter, Abstains) and not filter.applies(one)):
                    reasons = filter.why(table.some(removed), one)
                    assert all(isinstance(reason, Reason) for reason in reasons), "why() gives Reason records"
                    for reason in reasons:
                        assert len(reason.message) <= MOST, f"a reason's message has {MOST} characters at most"
                        for value in (reason.wanted, reason.available):
                            assert _is_plain(value), f"wanted and available are plain values, not {value!r}"
                    told = sum(reason.count for reason in reasons)
                    assert told == len(removed), f"the reasons count {told} hosts of {len(removed)}: {one}"
                    names = set(table.names) - ({one.host} | set(one.excluded_hosts))
                    words = {word.strip(".,()") for reason in reasons for word in reason.message.split()}
                    assert not names & words, "a reason's message is for tenants: leave host names out"

    def test_it_is_fast_enough(self, spec: FilterSpec, filter: object, requests: Sequence[Ask]) -> None:
        table = many_hosts()
        budget = self.within_ms + (0 if isinstance(filter, ColumnFilter) else 10.0 + 0.5 * len(spec.reads) * 10)
        for one in requests[:3]:
            spent = min(_timed(spec, filter, table, one) for _ in range(5))
            assert spent <= budget, f"{spent:.2f} ms for 10,000 hosts is more than {budget:.2f} ms"


def declared(reads: frozenset[str], name: str) -> bool:
    """Return whether a fact is among those declared, itself or by its family's star."""
    return name in reads or any(one.endswith("_*") and name.startswith(one[:-1]) for one in reads)


def verdict(spec: FilterSpec, filter: Any, table: HostRows, one: Ask) -> Any:
    """Ask a filter of either form about every host of a table."""
    if isinstance(filter, ColumnFilter):
        return filter.mask(table, one)
    answers = [filter.passes(table.view(row, spec.reads), one) for row in range(table.size)]
    wrong = {type(answer).__name__ for answer in answers if not isinstance(answer, bool | np.bool_)}
    assert not wrong, f"passes() returned {sorted(wrong)}; return True or False"
    return np.array(answers, np.bool_)


MOST = 500
"""Characters of a reason's message that are kept."""


def _is_plain(value: object) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(name, str) and _is_plain(one) for name, one in value.items())
    if isinstance(value, list | tuple | set | frozenset):
        return all(_is_plain(one) for one in value)
    return value is None or isinstance(value, bool | int | float | str | np.number)


def _timed(spec: FilterSpec, filter: Any, table: HostRows, one: Ask) -> float:
    views = None
    if not isinstance(filter, ColumnFilter):
        views = [table.view(row, spec.reads) for row in range(table.size)]
    started = time.perf_counter()
    if views is None:
        filter.mask(table, one)
    else:
        for view in views:
            filter.passes(view, one)
    return (time.perf_counter() - started) * 1000
