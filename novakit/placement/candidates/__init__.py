"""Finding where something fits: a snapshot of the forest, what is asked for, and the search that joins them."""

from novakit.placement.candidates.forest import Forest, ForestCache
from novakit.placement.candidates.search import search
from novakit_fit.search.ask import Ask, Candidate, Group
from novakit_fit.search.provider import Provider, Stock

__all__ = ["Ask", "Candidate", "Forest", "ForestCache", "Group", "Provider", "Stock", "search"]
