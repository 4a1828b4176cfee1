"""Which providers of a tree give what: every answer, or the first, found by one search for everybody who asks."""
