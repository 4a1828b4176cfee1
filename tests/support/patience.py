"""How long tests wait for what must come."""

PATIENT = 60.0
"""Seconds that a plugin of a test may take: on a machine with much to do, a thread gets nowhere for a second."""
