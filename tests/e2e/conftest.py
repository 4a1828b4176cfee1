"""What the end-to-end tests share."""

from tests.support.micro import micro

__all__ = ["micro"]
