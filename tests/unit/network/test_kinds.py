"""Values in bodies of the network API: what is taken, and what is kept of it."""

from typing import Any

import pytest

from novakit.api.network.bodies import kinds
from novakit.network.records import WantedAddress

ID = "00000000-0000-0000-0000-000000000000"
PAIR = kinds.record({"subnet_id": kinds.uuid, "ip_address": kinds.text(64)}, into=WantedAddress)


@pytest.mark.parametrize(
    ("kind", "sent", "kept"),
    [
        (kinds.boolean, "Yes", True),
        (kinds.boolean, 0, False),
        (kinds.integer(0, 10), "7", 7),
        (kinds.spelt(16), 6, "6"),
        (kinds.nullable(kinds.boolean), None, None),
        (kinds.several(kinds.integer(0, 9), 2), ["1", 2], [1, 2]),
        (PAIR, {"subnet_id": ID}, WantedAddress(subnet_id=ID)),
    ],
)
def test_what_fits_is_kept_in_its_normal_form(kind: kinds.ValueKind, sent: Any, kept: Any) -> None:
    assert kind(sent) == kept and type(kind(sent)) is type(kept)


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        (kinds.boolean, "perhaps"),
        (kinds.boolean, 2),
        (kinds.integer(0, 10), "11"),
        (kinds.integer(0, 10), 1.5),
        (kinds.text(3), "four"),
        (kinds.text(3), "a\0"),
        (kinds.several(kinds.text(3), 1), ["a", "b"]),
        (kinds.dns_label, "-a"),
        (kinds.one_of("nova"), "other"),
        (kinds.anything_small, {"key": "x" * 5000}),
        (PAIR, {"subnet_id": ID, "more": 1}),
        (PAIR, {"subnet_id": "nope"}),
    ],
)
def test_what_does_not_fit_is_refused_with_a_sentence(kind: kinds.ValueKind, sent: Any) -> None:
    with pytest.raises(kinds.Wrong) as told:
        kind(sent)
    assert told.value.message.endswith(".") or "[" in told.value.message
