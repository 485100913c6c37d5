"""Agents that are a backend's address."""
