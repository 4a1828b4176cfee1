"""The scheduler: filter, weigh, claim, and be able to say why."""
