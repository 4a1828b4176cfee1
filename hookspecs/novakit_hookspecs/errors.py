"""The few errors a plugin may raise on purpose; anything else is a fault of the plugin."""


class Refused(Exception):
    """What was asked can never work here; the sentence is shown to the user."""


class NotFound(Exception):
    """The guest, port or device named does not exist."""


class Busy(Exception):
    """Not now: the caller tries again after `retry_after` seconds."""

    def __init__(self, message: str, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class DeviceTaken(Exception):
    """A device was given to a second guest: a fault of whoever keeps the books, never of the user."""
