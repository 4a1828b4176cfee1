"""The conductor: drives every operation on a server from step to step, and writes what compute hosts report."""
