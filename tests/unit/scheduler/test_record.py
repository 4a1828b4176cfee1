"""What a decision keeps of its reasons."""

from collections.abc import Callable
from typing import Any, get_type_hints

import attrs
import numpy as np
import orjson
import pytest

from novakit.calls.decisions import DecisionRecord
from novakit.scheduler.pipeline import record
from novakit_hookspecs.scheduling import FilterSpec, Reason
from novakit_hookspecs.testing.asks import ask
from tests.support.patience import PATIENT
from tests.unit.scheduler.pipelines import composed, table_of


def vendor(build: Callable[[Any], Any], **fields: Any) -> FilterSpec:
    return FilterSpec(**{"name": "acme", "api": 1, "build": build, "within": PATIENT, **fields})


@attrs.frozen
class Odd:
    """Refuses everybody, with a reason that says something strange."""

    said: Any

    def mask(self, hosts: Any, ask: Any) -> Any:
        return np.zeros(hosts.size, np.bool_)

    def why(self, hosts: Any, ask: Any) -> Any:
        if isinstance(self.said, BaseException):
            raise self.said
        return [Reason(code="odd", count=hosts.size, **self.said)]


class CannotBeWritten:
    def __repr__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"message": "are odd", "wanted": np.arange(3), "available": 10**30}, "are odd"),
        ({"message": "are odd", "available": {1: {2: {3: {4: {5: "deep"}}}}}, "wanted": object()}, "are odd"),
        ({"message": "a lone \ud800 surrogate", "remedy": "\0"}, "a lone ? surrogate"),
        ({"message": "m" * 100_000}, "m" * 500),
        ({"message": "are odd", "wanted": float("nan"), "available": set(range(1000))}, "are odd"),
        ({"message": "are odd", "wanted": CannotBeWritten()}, "did not pass the acme check"),
        ({"message": 7}, "did not pass the acme check"),
        (RuntimeError("no idea"), "did not pass the acme check"),
    ],
)
async def test_whatever_a_reason_says_can_be_stored_and_read(said: Any, message: str) -> None:
    spec = vendor(lambda _: Odd(said))
    table = table_of([4096])
    made = composed(table, spec, filters=["acme"])
    outcome = await made.pipeline.run(table, ask())
    decision = await record.compose(made.pipeline, table, ask(), outcome, "scheduler")
    assert message in decision.message
    assert orjson.loads(orjson.dumps(decision.row()["record"]))["filters"][-1]["reasons"][0]["message"] == message
    assert len(orjson.dumps(decision.row()["record"])) < 20_000


def test_what_is_added_to_a_decision_are_fields_of_its_record_with_their_types() -> None:
    assert get_type_hints(record.DecisionChange).items() <= get_type_hints(DecisionRecord).items()
