"""Servers: made, listed, changed and acted on, one module for each resource below /servers."""
