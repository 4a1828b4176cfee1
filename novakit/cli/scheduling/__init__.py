"""Commands about the scheduler: why a server is where it is, how much more fits, and what would have happened."""
