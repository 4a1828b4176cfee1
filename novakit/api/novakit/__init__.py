"""What novakit adds to the OpenStack APIs, under a path of its own."""

from novakit.api.novakit.service import service

__all__ = ["service"]
