"""A trace's lines say what a decision says of its request, and no more."""

from datetime import UTC, datetime, timedelta

import orjson

from novakit.calls.decisions import DecisionRequest
from novakit.calls.traces import SchedulerTrace, TracedAsk, TracedEvent, lines
from novakit.scheduler.whatif.lines import read
from novakit.scheduler.whatif.trace import events
from novakit.store.scheduler.decisions import DecisionRow

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def _row(server: str, seconds: float, **record: object) -> DecisionRow:
    at = NOON + timedelta(seconds=seconds)
    outcome = "placed" if "host" in record else "refused"
    return {"server_id": server, "project_id": "p", "at": at, "outcome": outcome, "record": record}


def test_a_request_is_written_as_an_ask_without_what_has_its_default() -> None:
    asked = DecisionRequest(
        flavor="small",
        resources={"VCPU": 2, "MEMORY_MB": 512, "DISK_GB": 10},
        excluded_hosts=("h1",),
        image="i",
        image_properties={"os_type": "linux"},
        count=3,
    )
    trace = SchedulerTrace(
        events=(TracedEvent(at=1.5, ask=TracedAsk(server_id="s", project_id="p", asked=asked), placed="h2"),)
    )
    (line,) = lines(trace)
    assert line == {
        "at": 1.5,
        "ask": {
            "server_id": "s",
            "project_id": "p",
            "user_id": "",
            "flavor_name": "small",
            "resources": {"VCPU": 2, "MEMORY_MB": 512, "DISK_GB": 10},
            "vcpus": 2,
            "memory_mb": 512,
            "root_gb": 10,
            "count": 3,
            "excluded_hosts": ["h1"],
            "image": {"id": "i", "disk_format": "", "properties": {"os_type": "linux"}},
        },
        "placed": "h2",
    }


def test_a_decision_that_says_nothing_of_its_request_is_traced_and_read_again() -> None:
    (event,) = events([_row("s", 0.0, message="no host")], [], [], {"s"})
    trace = read(orjson.dumps(line) for line in lines(SchedulerTrace(events=(event,))))
    assert [(one.ask.server_id, one.placed) for one in trace.events if one.ask] == [("s", None)]


def test_a_server_that_leaves_its_host_is_released_before_it_asks_again() -> None:
    asked = {"flavor": "small", "resources": {"VCPU": 1}}
    first = _row("s", 0.0, asked=asked, host="h1")
    again = _row("s", 5.0, asked={**asked, "excluded_hosts": ["h1"]}, host="h2")
    told = events([first, again], [], [], {"s"})
    assert [(one.at, one.release, one.placed) for one in told] == [(0.0, "", "h1"), (5.0, "s", None), (5.0, "", "h2")]
    moved = _row("s", 5.0, asked={**asked, "excluded_hosts": ["h1"], "cell": "c"}, host="h2")
    assert not any(one.release for one in events([first, moved], [], [], {"s"})), "a move holds both until it ends"
