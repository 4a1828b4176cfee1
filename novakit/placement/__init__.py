"""The ledger of what providers hold and who has taken how much of it; `Placement` is the way in."""

from novakit.placement.ledger import AllocationClaim
from novakit.placement.service import Placement
from novakit.store.placement.hosts import HostReport

__all__ = ["AllocationClaim", "HostReport", "Placement"]
