"""Bodies of the quota calls."""

from collections.abc import Mapping
from typing import ClassVar

import attrs

from novakit.api.bodies import Body
from novakit.api.compute.schemas import types

FILES = ("injected_files", "injected_file_content_bytes", "injected_file_path_bytes")
NETWORK = ("fixed_ips", "floating_ips", "security_groups", "security_group_rules")
ALWAYS = ("instances", "cores", "ram", "metadata_items", "key_pairs", "server_groups", "server_group_members")


def _update(*names: str) -> types.Definition:
    limits: types.Definition = {name: types.number(-1) for name in names}
    return types.record({**limits, "force": types.boolean})


@attrs.frozen(kw_only=True)
class LimitsChange:
    """Limits that a project is to have."""

    KEEPS_THE_REST: ClassVar = "limits"

    force: bool = False
    """Whether a limit below what is used is taken, too."""
    limits: Mapping[str, int]


update = Body(
    LimitsChange,
    [
        ((2, 1), _update(*ALWAYS, *FILES, *NETWORK)),
        ((2, 36), _update(*ALWAYS, *FILES)),
        ((2, 57), _update(*ALWAYS)),
    ],
    under="quota_set",
)
