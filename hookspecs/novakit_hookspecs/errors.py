"""The few errors a plugin may raise on purpose; anything else is a fault of the plugin."""


class Refused(Exception):
    """What was asked can never work here; the core does not repeat it, and shows the sentence to the user.

    The user is shown neither the host's name nor the directories of paths, which administrators read in the details.
    """


class NotFound(Exception):
    """The guest, port or device named does not exist."""


class Busy(Exception):
    """Not now: the caller tries again after `retry_after` seconds."""

    def __init__(self, message: str, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class DeviceTaken(Exception):
    """A device was to be given to a second guest: an error of the service, never of the user."""
