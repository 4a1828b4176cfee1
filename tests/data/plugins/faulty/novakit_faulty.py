"""Offers a filter that raises for every flavor but the smallest."""

from novakit_hookspecs import hookimpl
from novakit_hookspecs.scheduling import FilterSpec


class Faulty:
    """Knows one flavor."""

    def mask(self, hosts, ask):
        known = {"m1.tiny": 512}
        return hosts.column("free_memory_mb") >= known[ask.flavor_name]


@hookimpl
def novakit_filters():
    yield FilterSpec(name="faulty", api=1, build=lambda options: Faulty(), reads={"free_memory_mb"}, default=True)
