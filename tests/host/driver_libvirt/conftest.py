"""What the tests of the libvirt driver share."""

from tests.micro import micro

__all__ = ["micro"]
