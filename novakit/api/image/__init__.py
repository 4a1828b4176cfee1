"""The image API, version 2."""

from novakit.api.image.service import service

__all__ = ["service"]
