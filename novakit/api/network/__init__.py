"""The network API, version 2.0."""

from novakit.api.network.service import service

__all__ = ["service"]
