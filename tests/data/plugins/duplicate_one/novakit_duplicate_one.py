"""Shares its entry point's name with another distribution; it must never be imported."""

raise AssertionError("imported although its name is not unique")
