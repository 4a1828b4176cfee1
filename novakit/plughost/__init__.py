"""The only place that knows pluggy and stevedore: finds, loads, builds and calls plugins, each contained.

`PluginHost.load(choice, roles)` loads once; `build(offer, options, context)` makes a working object of a record;
`guarded(plugin, name, awaitable, within)` calls it; `tell_all(host.observers, event=...)` tells observers.
"""

from novakit.calls.plugins import PluginRow
from novakit.plughost.build import build
from novakit.plughost.call import guarded, tell_all
from novakit.plughost.choice import FILTER_SCHEDULER, PluginChoice
from novakit.plughost.defaults import best_driver, settled
from novakit.plughost.discover import Offering, PluginCandidate, discover, offerings
from novakit.plughost.faults import BusyPlugin, Fault, NotFoundByPlugin, RefusedByPlugin
from novakit.plughost.load import PluginHost
from novakit.plughost.offers import GROUPS, Offer, Plugin, PluginGroup, State

__all__ = [
    "FILTER_SCHEDULER",
    "GROUPS",
    "BusyPlugin",
    "Fault",
    "NotFoundByPlugin",
    "Offer",
    "Offering",
    "Plugin",
    "PluginCandidate",
    "PluginChoice",
    "PluginGroup",
    "PluginHost",
    "PluginRow",
    "RefusedByPlugin",
    "State",
    "best_driver",
    "build",
    "discover",
    "guarded",
    "offerings",
    "settled",
    "tell_all",
]
