"""What many tests use: a running service and its clients, a small guest, and device trees."""
