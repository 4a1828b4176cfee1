"""The log: where its lines go, what they look like, and how often one may repeat."""

from novakit.logs import without_rich  # noqa: F401

# isort: split
from novakit.logs.setting_up import Folding, configure

__all__ = ("Folding", "configure")
