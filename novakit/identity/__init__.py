"""Identity: who exists, who may do what where, and the tokens that say so."""

from novakit.identity.service import Identity

__all__ = ["Identity"]
