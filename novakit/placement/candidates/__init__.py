"""Finding where something fits: a snapshot of the forest, what is asked for, and the search that joins them."""

from novakit.placement.candidates.forest import Forest, ForestCache
from novakit.placement.candidates.search import search
from novakit_fit.search.ask import Candidate, CandidateRequest, Group
from novakit_fit.search.provider import Provider, Stock

__all__ = ["Candidate", "CandidateRequest", "Forest", "ForestCache", "Group", "Provider", "Stock", "search"]
