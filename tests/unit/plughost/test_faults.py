"""Errors of plugins are errors of the service too: whoever catches either sees them."""

import pytest

from novakit import errors
from novakit.plughost.faults import BusyPlugin, Fault, NotFoundByPlugin, RefusedByPlugin
from novakit_hookspecs import errors as contract


@pytest.mark.parametrize(
    ("error", "ours", "theirs", "kind", "status"),
    [
        (RefusedByPlugin("no such bus"), errors.NovakitError, contract.Refused, "Refused", 409),
        (NotFoundByPlugin("no guest"), errors.NotFound, contract.NotFound, "NotFound", 404),
        (BusyPlugin("not now", 2.0), errors.Unavailable, contract.Busy, "Busy", 503),
    ],
)
def test_an_error_of_the_contract_has_a_status_and_its_kind(
    error: errors.NovakitError, ours: type[Exception], theirs: type[Exception], kind: str, status: int
) -> None:
    assert isinstance(error, ours) and isinstance(error, theirs)
    assert (error.kind, error.status) == (kind, status)


def test_a_busy_plugin_says_when_to_ask_again_and_a_fault_is_none_of_the_contracts() -> None:
    assert BusyPlugin("not now", 2.0).retry_after == 2.0
    assert Fault("it returned a number").status == 500
