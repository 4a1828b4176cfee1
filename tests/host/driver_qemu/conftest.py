"""What the tests of the plain QEMU driver share."""

from tests.support.micro import micro

__all__ = ["micro"]
