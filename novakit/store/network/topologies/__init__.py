"""What hosts are told of the network, and what became of it."""
