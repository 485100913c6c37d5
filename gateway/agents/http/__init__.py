"""Agents behind a backend's address."""
