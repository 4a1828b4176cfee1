"""The contract of novakit: the records, protocols and hooks a plugin is written against.

A plugin imports this package and its own libraries, nothing else of novakit.
One module holds one extension point: its API number, its records, its protocols and its hook.
"""

from novakit_hookspecs.markers import hookimpl

__version__ = "0.1.0"

__all__ = ["__version__", "hookimpl"]
