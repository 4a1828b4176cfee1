"""What can be done to a server: one module for each verb, with its record, what it remembers and its steps."""

import pkgutil
from collections.abc import Iterator, Mapping
from importlib import import_module

from novakit.conductor.verb import AnyVerb, Verb


def _found() -> Iterator[AnyVerb]:
    """Find the records of this folder's modules, so that a verb is added by adding its module."""
    for module in pkgutil.iter_modules(__path__):
        for value in vars(import_module(f"{__name__}.{module.name}")).values():
            if isinstance(value, Verb):
                yield value


VERBS: Mapping[str, AnyVerb] = {verb.kind: verb for verb in _found()}
"""Every verb by the kind of its operations."""
ACTIONS: Mapping[str, AnyVerb] = {verb.action.name: verb for verb in VERBS.values() if verb.action}
"""The verbs that are asked for at /servers/ID/action, by the name they have there."""
