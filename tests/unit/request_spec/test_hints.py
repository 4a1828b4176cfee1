"""Scheduler hints are bounded before anything is looked up for them."""

import pytest

from novakit.errors import BadRequest
from novakit.request_spec.hints import MAX_BYTES, MAX_SERVERS, bounded, servers_named


def test_servers_are_named_by_one_id_or_a_list_and_each_counts_once() -> None:
    assert servers_named({"same_host": "a", "different_host": ["a", "b", 3], "group": "g"}) == {"a", "b"}


def test_as_many_servers_as_may_be_are_taken_and_one_more_is_refused() -> None:
    ids = [str(number) for number in range(MAX_SERVERS)]
    assert bounded({"same_host": ids}) == {"same_host": ids}
    with pytest.raises(BadRequest, match=f"name {MAX_SERVERS + 1} servers"):
        bounded({"same_host": ids, "different_host": "another"})


def test_hints_that_are_too_long_are_refused_whatever_they_say() -> None:
    with pytest.raises(BadRequest, match=f"{MAX_BYTES} is the most"):
        bounded({"query": "x" * MAX_BYTES})
