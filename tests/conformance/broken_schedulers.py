"""Scheduler drivers with one fault each."""

from typing import Any

import attrs
import numpy as np

from novakit_hookspecs.scheduling import Reason


class NamesTheWinner:
    def rank(self, hosts: Any, ask: Any) -> Any:
        return hosts.names[:1]


class LeavesHostsOut:
    def rank(self, hosts: Any, ask: Any) -> Any:
        free = hosts.column("free_vcpus")
        return free[free > 4].astype(np.float64)


class LovesOneWithoutEnd:
    def rank(self, hosts: Any, ask: Any) -> Any:
        return np.where(hosts.column("free_vcpus") >= 4, np.inf, 0.0)


class NeedsSomebody:
    def rank(self, hosts: Any, ask: Any) -> Any:
        free = hosts.column("free_vcpus").astype(np.float64)
        return free / free.max()


@attrs.define
class TakesTurns:
    calls: int = 0

    def rank(self, hosts: Any, ask: Any) -> Any:
        self.calls += 1
        return np.full(hosts.size, float(self.calls))


class LooksFurther:
    def rank(self, hosts: Any, ask: Any) -> Any:
        return hosts.column("free_disk_gb").astype(np.float64)


class KeepsItsBooks:
    def rank(self, hosts: Any, ask: Any) -> Any:
        column = hosts.column("free_vcpus")
        column.flags.writeable = True
        column[:] -= ask.vcpus
        return column.astype(np.float64)


class Blames:
    def rank(self, hosts: Any, ask: Any) -> Any:
        return np.full(hosts.size, np.nan)

    def why(self, hosts: Any, ask: Any) -> Any:
        return [Reason(code="no", count=hosts.size, message=f"are like {hosts.names[0]}")]


SCHEDULERS = {
    "test_its_ranking_is_a_number_for_each_host": (NamesTheWinner, LeavesHostsOut, LovesOneWithoutEnd),
    "test_it_takes_an_empty_table": (NeedsSomebody,),
    "test_the_same_question_has_the_same_answer": (TakesTurns,),
    "test_it_reads_nothing_that_it_did_not_declare": (LooksFurther,),
    "test_it_leaves_the_columns_alone": (KeepsItsBooks,),
    "test_its_reasons_count_every_refused_host_and_name_none": (Blames,),
}
"""By the test that must catch them."""
