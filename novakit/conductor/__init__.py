"""Durable operations: a change that takes several steps, finished or undone whatever is killed on the way."""

from novakit.operations.engine import Engine
from novakit.operations.verbs import Commit, Failed, Postponed, Rewind, Step, Verb, Work

__all__ = ["Commit", "Engine", "Failed", "Postponed", "Rewind", "Step", "Verb", "Work"]
