"""What an operator is told where the conductor does not do what the API asks of it."""

import pytest

from novakit.api.novakit.domain import conductor_asked
from novakit.bus import BusError, RemoteError, Unreachable
from novakit.errors import Unavailable


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            Unreachable("conductor did not answer audit within 100 s"),
            "The conductor was asked to audit the deployment and did not answer. See that one runs, and ask again.",
        ),
        (
            RemoteError("NovakitError", "no host answers."),
            "The conductor did not audit the deployment: no host answers. Its log says more.",
        ),
    ],
)
def test_a_conductor_that_failed_is_told_from_one_that_does_not_answer(error: BusError, told: str) -> None:
    with pytest.raises(Unavailable) as refused, conductor_asked("audit the deployment"):
        raise error
    assert refused.value.message == told
