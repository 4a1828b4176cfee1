"""Identity: who exists and may do what where, and what tokens stand on."""
