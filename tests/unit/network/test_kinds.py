"""Values in bodies of the network API: what is taken, and what is refused."""

import pytest

from novakit import errors
from novakit.api.bodies import Definition, Schema, SchemaFault
from novakit.api.network.bodies import kinds

ID = "00000000-0000-0000-0000-000000000000"
PAIR = kinds.record({"subnet_id": kinds.uuid, "ip_address": kinds.text(64)})


def refusal(kind: Definition, sent: object) -> str:
    """Return why a value is refused; nothing for one that is taken."""

    def words(fault: SchemaFault) -> errors.BadRequest:
        return errors.BadRequest(kinds.reason(fault))

    try:
        Schema(kind, words, kinds.FORMATS).check(sent)
    except errors.BadRequest as error:
        return error.message
    return ""


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        (kinds.boolean, "Yes"),
        (kinds.boolean, 0),
        (kinds.integer(0, 10), "7"),
        (kinds.spelt(16), 6),
        (kinds.nullable(kinds.boolean), None),
        (kinds.nullable(kinds.one_of("nova")), None),
        (kinds.nullable(kinds.anything_small), None),
        (kinds.several(kinds.integer(0, 9), 2), ["1", 2]),
        (kinds.uuid, ID.replace("-", "").upper()),
        (PAIR, {"subnet_id": ID}),
    ],
)
def test_what_fits_is_taken_in_any_spelling(kind: Definition, sent: object) -> None:
    assert not refusal(kind, sent)


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
        (kinds.anything_small, ["x"]),
        (kinds.nullable(kinds.text()), 5),
        (PAIR, {"subnet_id": ID, "more": 1}),
        (PAIR, {"subnet_id": "nope"}),
    ],
)
def test_what_does_not_fit_is_refused_with_a_sentence(kind: Definition, sent: object) -> None:
    told = refusal(kind, sent)
    assert told.endswith(".") or "[" in told
