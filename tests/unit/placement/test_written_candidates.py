"""Candidates written from forms are those written one by one."""

import itertools

import orjson
import pytest

from novakit.api.placement.allocation_candidates import Writer, request_of
from novakit.placement.candidates import CandidateRequest, Group

ASK = CandidateRequest(
    groups=[
        Group(resources={"VCPU": 2, "MEMORY_MB": 64}),
        Group(suffix="_NET", resources={"SRIOV_NET_VF": 1, "VCPU": 1}),
        Group(suffix="_NEAR", required=[{"CUSTOM_NEAR"}]),
    ]
)
WAYS = list(itertools.product(["a", "b", "c"], repeat=4))


@pytest.mark.parametrize("version", [(1, 10), (1, 12), (1, 34)])
def test_candidates_written_together_are_those_written_one_by_one(version):
    for ways in (WAYS, WAYS[::-1], [("a", "b", "c", "a")] * 3, WAYS[:1], []):
        written = orjson.loads(b"[%b]" % Writer(ASK, version).write(ways))
        assert written == [orjson.loads(orjson.dumps(request_of(ASK, way, version))) for way in ways]


def test_amounts_on_one_provider_add_up_and_groups_keep_their_names():
    assert request_of(ASK, ("a", "b", "a", "c"), (1, 39)) == {
        "allocations": {
            "a": {"resources": {"VCPU": 3, "SRIOV_NET_VF": 1}},
            "b": {"resources": {"MEMORY_MB": 64}},
        },
        "mappings": {"": ["a", "b"], "_NET": ["a"], "_NEAR": ["c"]},
    }


def test_providers_of_which_nothing_is_taken_are_not_among_the_used():
    writer = Writer(ASK, (1, 39))
    writer.write([("a", "a", "b", "c"), ("a", "b", "b", "d")])
    assert set(writer.used) == {"a", "b"}
