"""Finding where something fits: a snapshot of the forest, what is asked for, and the search that joins them."""

from novakit.placement.candidates.ask import Ask, Candidate, Group
from novakit.placement.candidates.forest import Forest, ForestCache, Provider, Stock
from novakit.placement.candidates.search import search

__all__ = ["Ask", "Candidate", "Forest", "ForestCache", "Group", "Provider", "Stock", "search"]
