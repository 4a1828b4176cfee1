"""What the owner of a server reads of a refusal of its host."""

import pytest

from novakit.conductor.steps.failures import for_owner


@pytest.mark.parametrize(
    ("said", "host", "told"),
    [
        ("the plan of x, /var/lib/novakit/x/plan.json, is damaged", "sim-1", "the plan of x, plan.json, is damaged"),
        ("it names '/etc/shadow' as its base", "sim-1", "it names 'shadow' as its base"),
        ("host sim-1 hands out no such device", "sim-1", "host hands out no such device"),
        ("sim-1 has it, and sim-10 has not", "sim-1", "its host has it, and sim-10 has not"),
        ("sim-1.example.org is full.", "sim-1", "its host is full."),
        ("host sim-1.example.org is full", "sim-1", "host is full"),
        ("a guest of host a is a guest", "a", "a guest of host is a guest"),
        ("10.0.0.0/24 and https://x.org/a/b and 1/2 stay", "sim-1", "10.0.0.0/24 and https://x.org/a/b and 1/2 stay"),
        ("image property hw_disk_bus 'x' is not offered", None, "image property hw_disk_bus 'x' is not offered"),
    ],
)
def test_it_names_no_host_and_no_directory_and_is_else_the_same(said: str, host: str | None, told: str) -> None:
    assert for_owner(said, host) == told
