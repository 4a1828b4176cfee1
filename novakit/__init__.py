"""A compute service made of plugins."""

__version__ = "0.1.0"
