"""Filters and weighers with one fault each."""

from typing import Any

import attrs
import numpy as np

from novakit_hookspecs.scheduling import Reason


class GivesNumbers:
    def mask(self, hosts: Any, ask: Any) -> Any:
        return hosts.column("free_vcpus")


class GivesOneAnswerForAll:
    def mask(self, hosts: Any, ask: Any) -> Any:
        return np.array(True)


class CannotTakeNobody:
    def mask(self, hosts: Any, ask: Any) -> Any:
        return hosts.column("free_vcpus") >= hosts.column("free_vcpus").min()


@attrs.define
class ChangesItsMind:
    calls: int = 0

    def mask(self, hosts: Any, ask: Any) -> Any:
        self.calls += 1
        return np.full(hosts.size, self.calls % 2 == 0)


class ReadsInSecret:
    def mask(self, hosts: Any, ask: Any) -> Any:
        return hosts.column("free_disk_gb") >= 0


class Scribbles:
    def mask(self, hosts: Any, ask: Any) -> Any:
        column = hosts.column("free_vcpus")
        column.flags.writeable = True
        column[:] += 1
        return column >= 0


class ComparesHosts:
    def mask(self, hosts: Any, ask: Any) -> Any:
        column = hosts.column("free_vcpus")
        return column >= column.mean() if hosts.size else np.zeros(0, np.bool_)


class ContradictsItself:
    def mask(self, hosts: Any, ask: Any) -> Any:
        return hosts.column("free_vcpus") >= 4

    def passes(self, host: Any, ask: Any) -> Any:
        return host.free_vcpus >= 5000


class AbstainsWrongly:
    def applies(self, ask: Any) -> bool:
        return False

    def mask(self, hosts: Any, ask: Any) -> Any:
        return hosts.column("free_vcpus") >= 4


class CountsWrong:
    def mask(self, hosts: Any, ask: Any) -> Any:
        return hosts.column("free_vcpus") >= 4

    def why(self, hosts: Any, ask: Any) -> Any:
        return [Reason(code="few", count=1, message="have few vCPUs")]


class NamesHosts:
    def mask(self, hosts: Any, ask: Any) -> Any:
        return hosts.column("free_vcpus") >= 4

    def why(self, hosts: Any, ask: Any) -> Any:
        return [Reason(code="few", count=hosts.size, message=f"have few vCPUs, like {hosts.names[0]}")]


class TellsWhatCannotBeStored:
    def mask(self, hosts: Any, ask: Any) -> Any:
        return hosts.column("free_vcpus") >= 4

    def why(self, hosts: Any, ask: Any) -> Any:
        return [Reason(code="few", count=hosts.size, message="have few vCPUs", available=hosts.column("free_vcpus"))]


class TellsAtLength:
    def mask(self, hosts: Any, ask: Any) -> Any:
        return hosts.column("free_vcpus") >= 4

    def why(self, hosts: Any, ask: Any) -> Any:
        return [Reason(code="few", count=hosts.size, message="have few vCPUs, " * 1000)]


class Dawdles:
    def mask(self, hosts: Any, ask: Any) -> Any:
        return np.array([sum(range(40)) > 0 for _ in range(hosts.size)], np.bool_)


class AnswersInWords:
    def passes(self, host: Any, ask: Any) -> Any:
        return "yes"


FILTERS = {
    "test_its_mask_is_a_boolean_for_each_host": (GivesNumbers, GivesOneAnswerForAll, AnswersInWords),
    "test_it_takes_an_empty_table": (CannotTakeNobody,),
    "test_the_same_question_has_the_same_answer": (ChangesItsMind,),
    "test_it_reads_nothing_that_it_did_not_declare": (ReadsInSecret,),
    "test_it_leaves_the_columns_alone": (Scribbles,),
    "test_a_host_is_judged_by_itself": (ComparesHosts,),
    "test_both_forms_agree": (ContradictsItself,),
    "test_where_it_abstains_it_removes_nobody": (AbstainsWrongly,),
    "test_its_reasons_count_every_removed_host_and_name_none": (
        CountsWrong,
        NamesHosts,
        TellsWhatCannotBeStored,
        TellsAtLength,
    ),
    "test_it_is_fast_enough": (Dawdles,),
}
"""By the test that must catch them."""


class DividesByZero:
    def score(self, hosts: Any, ask: Any) -> Any:
        with np.errstate(all="ignore"):
            return np.float64(1) / (hosts.column("free_vcpus") * 0)


class ScoresTheWinnerAlone:
    def score(self, hosts: Any, ask: Any) -> Any:
        return np.float64(1.0)


class RanksThem:
    def score(self, hosts: Any, ask: Any) -> Any:
        return np.argsort(hosts.column("free_vcpus")).astype(np.float64)


class WritesScoresBack:
    def score(self, hosts: Any, ask: Any) -> Any:
        column = hosts.column("free_vcpus")
        column.flags.writeable = True
        column *= 2
        return column


WEIGHERS = {
    "test_its_score_is_a_number_for_each_host": (DividesByZero, ScoresTheWinnerAlone),
    "test_a_host_is_scored_by_itself": (RanksThem,),
    "test_it_leaves_the_columns_alone": (WritesScoresBack,),
}
