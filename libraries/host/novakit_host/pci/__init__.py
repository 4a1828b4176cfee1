"""PCI devices of a host: found in sysfs, chosen by rules, and who holds them."""
