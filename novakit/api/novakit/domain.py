"""`Additions`: what the API beside the public ones asks of, in one object."""

from collections.abc import Iterator
from contextlib import contextmanager

import attrs

from novakit import errors
from novakit.bus import BusError
from novakit.calls.conductor import ConductorCalls
from novakit.compute.server_groups import ServerGroups
from novakit.image.limits import ImageQuotas
from novakit.image.unknown import UnknownFiles
from novakit.scheduler.reports import SchedulerReports


@attrs.frozen
class Additions:
    """What novakit can do beyond the public APIs; `novakit.serving.additions_of` composes it."""

    reports: SchedulerReports
    server_groups: ServerGroups
    image_quotas: ImageQuotas
    unknown_files: UnknownFiles
    conductor: ConductorCalls


@contextmanager
def conductor_asked(failed: str = "does not answer") -> Iterator[None]:
    """Raise Unavailable for what the bus raises inside the block; `failed` is what the conductor did not do."""
    try:
        yield
    except BusError as error:
        raise errors.Unavailable(f"The conductor {failed}: {str(error).removesuffix('.')}.") from error
