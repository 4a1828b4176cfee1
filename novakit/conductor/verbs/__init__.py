"""What can be done to a server, one module for each verb."""
