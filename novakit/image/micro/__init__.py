"""The micro image: a small guest system built from Debian packages alone, for first steps and for tests."""

from novakit.image.micro.build import build
from novakit.image.micro.commands import NEEDS, CannotBuild, missing

__all__ = ["NEEDS", "CannotBuild", "build", "missing"]
