"""The NICs of servers: what a request for a server asks of the network, and what becomes of it."""
