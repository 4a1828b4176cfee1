"""What each role can be asked over the bus, one contract a target: records and methods, and nothing of who answers."""
