"""Hosts as operators see them: aggregates, zones, hypervisors, compute services."""
