"""The identity API, version 3."""

from novakit.api.identity.service import service

__all__ = ["service"]
