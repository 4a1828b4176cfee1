"""Servers: what they are, what may be asked of them, and one module per verb that changes them."""
