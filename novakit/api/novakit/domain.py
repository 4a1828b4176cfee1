"""`Additions`: what the API beside the public ones asks of, in one object."""

from collections.abc import Iterator
from contextlib import contextmanager

import attrs

from novakit import errors
from novakit.bus import BusError, Unreachable
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
def conductor_asked(to: str) -> Iterator[None]:
    """Raise Unavailable for what the bus raises inside the block; `to` is what the conductor was asked to do."""
    try:
        yield
    except Unreachable as error:
        raise errors.Unavailable(
            f"The conductor was asked to {to} and did not answer. See that one runs, and ask again."
        ) from error
    except BusError as error:
        why = str(error).removesuffix(".")
        raise errors.Unavailable(f"The conductor did not {to}: {why}. Its log says more.") from error
