"""One compute host: it is told what to do over the bus, and has no database."""
