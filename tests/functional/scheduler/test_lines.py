"""The lines of a trace."""

from typing import Any

import pytest

from novakit.errors import ConfigError
from novakit.scheduler.whatif import lines


def asked(server: str, at: float = 0, memory_mb: int = 1024, **more: Any) -> dict[str, Any]:
    ask = {"server_id": server, "project_id": "p", "user_id": "u", "resources": {"MEMORY_MB": memory_mb}}
    return {"at": at, "ask": {**ask, **more}}


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"{", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"[]", "is not a JSON object"),
        (b'{"what": 1}', "has neither host, aggregate, group, ask, built nor release"),
        (b'{"host": 7}', "has '7' as host; it takes a text"),
        (b'{"host": "a"}', "has host a for the second time"),
        (b'{"host": "b", "stock": {"VCPU": 7}}', "is of host b, and has '7' as stock of VCPU; it takes an object"),
        (b'{"host": "b", "stock": {"VCPU": {"total": -1}}}', "has '-1' as total in the stock of VCPU"),
        (b'{"host": "b", "stock": {"VCPU": {"size": 1}}}', "has size, which the stock of VCPU does not have"),
        (b'{"host": "b", "colour": "red"}', "is of host b, and has colour, which a host does not have"),
        (b'{"host": "b", "enabled": "no"}', "has 'no' as enabled; it takes true or false"),
        (b'{"host": "b", "numa": [{"id": "x"}]}', "has numa that cannot be understood"),
        (b'{"host": "b", "pci": {}}', "has '{}' as pci; it takes a list"),
        (b'{"host": "b", "metrics": {"CPU!": 1}}', "has the metric 'CPU!', which is not a name"),
        (b'{"host": "b", "flavors": {"m1": true}}', "has 'True' as flavors; it takes a whole number"),
        (b'{"aggregate": {"metadata": {"a": 1}}}', "has metadata of an aggregate that are not texts"),
        (b'{"group": "g", "max_server_per_host": "2"}', "has '2' as max_server_per_host"),
        (b'{"at": -1, "release": "x"}', "has -1 as `at`; it takes seconds"),
        (b'{"at": 0.5, "release": "x"}', "is at 0.5 s, before the event above it"),
        (b'{"ask": {"colour": 1}, "at": 2}', "cannot be asked: A request for a host has no field colour"),
        (
            b'{"at": 2, "ask": {"server_id": "s", "resources": {"VCPU": "1"}}}',
            "cannot be asked: VCPU in the resources of a",
        ),
        (b'{"at": 2, "ask": {"server_id": "s", "image": 7}}', "expected an object for ImageAsk, not a whole number"),
        (b'{"at": 2, "ask": {"server_id": "s", "group": {}}}', "The group of a request for a host is not valid"),
        (b'{"at": 2, "ask": {"server_id": "s", "vcpus": -1}}', "vcpus of a request for a host must be a number"),
    ],
)
def test_a_wrong_line_is_named_with_what_is_wrong_in_it(line: bytes, why: str) -> None:
    good = [b'{"host": "a"}', b"", b'{"at": 1, "release": "x"}']
    with pytest.raises(ConfigError) as told:
        lines.read([*good, line])
    assert str(told.value).startswith("line 4 of the trace ") and why in str(told.value)
