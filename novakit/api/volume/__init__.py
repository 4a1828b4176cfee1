"""The volume API, version 3: discovery, truthful empty lists, and a clear refusal of the rest."""

from novakit.api.volume.service import service

__all__ = ["service"]
