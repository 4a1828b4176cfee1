"""The Placement API, versions 1.0 to 1.39: one module per resource, its schemas beside it."""

from novakit.api.placement.routes import SERVICE

__all__ = ["SERVICE"]
