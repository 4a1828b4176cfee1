"""Flavors: what sizes of servers there are, what their names say, and what they may ask of a guest's hardware."""
