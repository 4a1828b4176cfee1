"""What the end-to-end tests share."""

from tests.micro import micro

__all__ = ["micro"]
