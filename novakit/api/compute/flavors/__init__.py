"""Flavors, and what their extra specs may say."""
