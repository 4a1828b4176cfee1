"""Guests beside the rows: what hosts keep of them, those that no row knows, and how they become servers again."""
