"""Runs that a backend's own calls to a provider make."""
