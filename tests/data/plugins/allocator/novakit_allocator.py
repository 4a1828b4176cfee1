"""A scheduler driver that asks an allocator outside: a JSON file with what each host is worth."""

import json
from pathlib import Path

import attrs
import numpy as np

from novakit_hookspecs import hookimpl
from novakit_hookspecs.ranking import SchedulerSpec
from novakit_hookspecs.scheduling import Reason


@attrs.frozen(kw_only=True)
class AllocatorOptions:
    """`[schedulers.allocator]`."""

    file: str = ""
    """Where the allocator writes; without one every host is worth the same."""


@attrs.frozen
class Allocator:
    """Takes the host that is worth most, and none that the allocator leaves out."""

    options: AllocatorOptions

    def rank(self, hosts, ask):
        if not self.options.file:
            return np.zeros(hosts.size)
        worth = json.loads(Path(self.options.file).read_text())
        return np.array([float(worth.get(name, "nan")) for name in hosts.names], np.float64)

    def why(self, hosts, ask):
        return [Reason(code="not_allocated", count=hosts.size, message="are given to nobody by the allocator")]


@hookimpl
def novakit_schedulers():
    yield SchedulerSpec(name="allocator", api=1, build=Allocator, options=AllocatorOptions)
