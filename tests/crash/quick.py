"""Options of one simulated host on which nothing takes longer than it must."""

OPTIONS = """
[agent]
host = "sim"
report_every = 1.0

[drivers.simulated]
shutdown_seconds = 0.05
boot_seconds = 0.0

[conductor]
shelved_offload_after = -1
"""
