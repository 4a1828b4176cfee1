"""The resources of the network API: made, shown, changed and deleted, one module for each."""
