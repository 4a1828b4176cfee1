"""What a call into a plugin can end with besides an answer."""

from http import HTTPStatus

from novakit.errors import NotFound, NovakitError, Unavailable
from novakit_hookspecs import errors as contract


class Fault(NovakitError):
    """The plugin broke the contract: an error it should not raise, a wrong answer, or none in time."""


class RefusedByPlugin(NovakitError, contract.Refused):
    """What was asked can never work there."""

    status = HTTPStatus.CONFLICT

    def __init__(self, message: str) -> None:
        super().__init__(message, kind="Refused")


class NotFoundByPlugin(NotFound, contract.NotFound):
    """The guest, port or device does not exist there."""

    def __init__(self, message: str) -> None:
        super().__init__(message, kind="NotFound")


class BusyPlugin(Unavailable, contract.Busy):
    """Not now; the same call may work in `retry_after` seconds."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message, kind="Busy")
        self.retry_after = retry_after
