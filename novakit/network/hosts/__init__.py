"""What hosts make of the network: their whole desired state, and how far they have come."""
