"""Faults of every kind against three gateways and one Redis, all at once: `make chaos`."""
