"""Measurements against the peers: `make bench` (docs/performance.md)."""
