"""The simulated Messages API."""
