"""What servers are, and what belongs to them: flavors, keypairs, quotas, groups, hosts. Verbs are the conductor's."""
