"""Asks are held to their limits and completed, each by itself or as the one before that it is like."""

import attrs
import pytest

from novakit import errors
from novakit.scheduler.pipeline.ask import Checking, checked, from_plain
from novakit_hookspecs.plain import to_plain
from novakit_hookspecs.scheduling import Ask, ImageAsk

PINNED = Ask(
    server_id="a",
    project_id="p",
    request_id="r1",
    vcpus=2,
    memory_mb=512,
    root_gb=1,
    extra_specs={"trait:CUSTOM_FAST": "required", "hw:cpu_policy": "dedicated"},
    image=ImageAsk(id="i", properties={"os_secure_boot": "required"}),
    hints={"group": "g", "retry": 1},
)


def test_an_ask_that_is_like_the_last_is_completed_as_it_would_be_alone() -> None:
    checking = Checking()
    asks = [
        PINNED,
        attrs.evolve(PINNED, server_id="b", request_id="r2"),
        attrs.evolve(PINNED, server_id="c", vcpus=4),
        attrs.evolve(PINNED, server_id="d", vcpus=4, project_id="q"),
        attrs.evolve(PINNED, server_id="e", image=None),
        attrs.evolve(PINNED, server_id="f", image=None, excluded_hosts=frozenset({"h"})),
    ]
    found = [checking(ask) for ask in asks]
    assert found == [checked(ask) for ask in asks]
    assert found[0].required_traits >= {"CUSTOM_FAST"} and found[1].resources["PCPU"] == 2 and found[2].vcpus == 4


def test_it_keeps_what_is_equal_to_the_last_and_not_the_same() -> None:
    checking = Checking()
    checking(PINNED)
    alike = checking(attrs.evolve(PINNED, server_id="b", hints={"group": "g", "retry": True}))
    assert alike.hints["retry"] is True


def test_one_that_is_refused_is_refused_again_and_spoils_none_that_follow() -> None:
    checking = Checking()
    checking(PINNED)
    for _ in range(2):
        with pytest.raises(errors.BadRequest):
            checking(attrs.evolve(PINNED, vcpus=-1))
        with pytest.raises(errors.BadRequest):
            checking(attrs.evolve(PINNED, server_id=""))
    assert checking(attrs.evolve(PINNED, server_id="z")) == checked(attrs.evolve(PINNED, server_id="z"))


def test_a_request_of_a_trace_keeps_all_of_its_group() -> None:
    group = {"id": "g", "policy": "affinity", "strategy": "distribute", "hosts": {"a": 1}, "max_server_per_host": 2}
    assert to_plain(from_plain({"server_id": "a", "group": group}).group) == group


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("image", {"min_ram_mb": "x"}, "The image of a request for a host is not valid: ImageAsk.min_ram_mb"),
        ("image", 7, "The image of a request for a host is not valid: expected an object"),
        ("group", {"policy": "affinity"}, "The group of a request for a host is not valid: GroupAsk needs id"),
        ("resources", {"VCPU": "1"}, "VCPU in the resources of a request for a host must be a whole number"),
    ],
)
def test_what_is_wrong_in_a_request_is_named(field: str, value: object, sentence: str) -> None:
    with pytest.raises(errors.BadRequest, match=sentence):
        from_plain({"server_id": "a", field: value})
