"""A decision as it crosses the bus, is kept, and is shown."""

import attrs
import orjson

from novakit.calls.decisions import (
    DecisionGroup,
    DecisionReason,
    DecisionRecord,
    DecisionRequest,
    DecisionStage,
    GivenDevice,
    HostWeight,
    Miss,
    NearestMiss,
    TriedHost,
    read,
    written,
)
from novakit_hookspecs.numa import Taken
from novakit_hookspecs.plain import to_plain

LACKS = {"code": "not_enough_memory_mb", "count": 2, "message": "lack memory", "wanted": 4096, "available": 2048}
REFUSED = DecisionRecord(
    server_id="s",
    request_id="req-1",
    project_id="p",
    hosts=3,
    filters=(
        DecisionStage(name="compute", before=3, after=2, ms=0.1, reasons=(DecisionReason(**LACKS),)),
        DecisionStage(name="traits", before=2, after=2, asked=False),
    ),
    message="No valid host was found.",
    asked=DecisionRequest(
        flavor="tiny",
        resources={"VCPU": 1},
        hints={"group": "g", "query": ["=", "$a", 1]},
        group=DecisionGroup(id="g", policy="affinity"),
        excluded_hosts=("c",),
    ),
    timings={"filter_ms": 0.5},
    nearest=NearestMiss(host="b", misses=(Miss(filter="ram", remedy="2048 MiB more memory free", **LACKS),)),
    conflicts=(TriedHost(host="a", why="another claim took it"),),
)
PLACED = DecisionRecord(
    server_id="s",
    request_id="req-1",
    project_id="p",
    hosts=3,
    filters=(),
    message="",
    host="a",
    alternates=("b",),
    weights=(HostWeight(host="a", total=1.5, by={"ram": 1.0, "cpu": 0.5}),),
    numa=(Taken(cell=1, cpus=(2, 3), pins=((0, 2), (1, 3)), vcpus=(0, 1), memory_mb=64),),
    devices=(GivenDevice(address="0000:10:00.0", kind="a100"),),
)


def test_what_is_written_is_json_and_is_read_again() -> None:
    for told in (REFUSED, PLACED):
        assert read(orjson.loads(orjson.dumps(written(told)))) == told
        assert read(orjson.loads(orjson.dumps(to_plain(told)))) == told, "as it crosses the bus"


def test_what_was_not_said_is_left_out() -> None:
    assert written(PLACED) == {
        "server_id": "s",
        "request_id": "req-1",
        "project_id": "p",
        "hosts": 3,
        "filters": [],
        "message": "",
        "host": "a",
        "alternates": ["b"],
        "weights": [{"host": "a", "total": 1.5, "by": {"ram": 1.0, "cpu": 0.5}}],
        "numa": [{"cell": 1, "cpus": [2, 3], "pins": [[0, 2], [1, 3]], "vcpus": [0, 1], "memory_mb": 64, "page_kb": 4}],
        "devices": [{"address": "0000:10:00.0", "kind": "a100"}],
    }
    assert written(REFUSED)["asked"] == {
        "flavor": "tiny",
        "resources": {"VCPU": 1},
        "hints": {"group": "g", "query": ["=", "$a", 1]},
        "group": {"id": "g", "policy": "affinity"},
        "excluded_hosts": ["c"],
    }
    compute, traits = REFUSED.filters
    kept = written(REFUSED)["filters"]
    assert kept == [
        {"name": compute.name, "before": 3, "after": 2, "ms": 0.1, "reasons": [LACKS]},
        {"name": traits.name, "before": 2, "after": 2, "asked": False},
    ]


def test_what_a_later_version_kept_is_passed_over() -> None:
    assert read(
        {**written(PLACED), "mood": "good", "filters": [{"name": "a", "before": 1, "after": 1, "x": 2}]}
    ).filters


def test_parts_that_decisions_share_are_written_once_and_read_alike() -> None:
    second = attrs.evolve(REFUSED, server_id="t", message="")
    known: dict[int, object] = {}
    one, two = written(REFUSED, known), written(second, known)
    assert one == written(REFUSED) and two == written(second)
    assert one["filters"] is two["filters"] and one["asked"] is two["asked"]
