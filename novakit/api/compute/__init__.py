"""The compute API (Nova v2.1): one module per resource, its request schemas beside it under `schemas`."""

from novakit.api.compute.service import SERVICE

__all__ = ["SERVICE"]
