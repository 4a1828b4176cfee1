"""Simulated compute hosts and networks for novakit: behaviour, timing and faults without hardware."""
