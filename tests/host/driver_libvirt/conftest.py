"""What the tests of the libvirt driver share."""

from tests.support.micro import micro

__all__ = ["micro"]
