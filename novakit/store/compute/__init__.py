"""Servers and what they are made with: flavors, key pairs, groups, aggregates, quotas, the hosts they run on."""
