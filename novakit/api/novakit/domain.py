"""`Additions`: what the API beside the public ones asks of, in one object."""

import attrs

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
