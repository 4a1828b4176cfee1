"""How many descriptors a process has for connections."""

import resource

import pytest

from novakit.front.descriptors import RESERVE, raise_limit, room


@pytest.mark.parametrize(
    ("soft", "hard", "wanted", "limit"),
    [
        (1024, 4096, 2048, 2048),
        (1024, 4096, 9000, 4096),
        (1024, resource.RLIM_INFINITY, 9000, 9000),
        (4096, 4096, 1024, 4096),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, 1024, 1024),
    ],
)
def test_the_soft_limit_is_raised_as_far_as_the_hard_one_goes_and_never_lowered(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, wanted: int, limit: int
) -> None:
    was_set: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: was_set.append(limits))
    assert raise_limit(wanted) == limit
    assert was_set == ([(limit, hard)] if limit > soft >= 0 else [])


def test_connections_leave_a_reserve_and_some_are_always_taken() -> None:
    assert room(1000, 4096) == 1000 and room(5000, 4096) == 4096 - RESERVE and room(1000, 256) == 32
