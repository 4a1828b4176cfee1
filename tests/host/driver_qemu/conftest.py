"""What the tests of the plain QEMU driver share."""

from tests.micro import micro

__all__ = ["micro"]
