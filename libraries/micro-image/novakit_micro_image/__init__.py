"""The micro image: a small guest system built from Debian packages alone, for first steps and for tests."""

from novakit_micro_image.build import build
from novakit_micro_image.commands import NEEDS, CannotBuild, missing

__all__ = ["NEEDS", "CannotBuild", "build", "missing"]
