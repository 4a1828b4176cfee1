"""What the bodies of requests to the network API may be."""
