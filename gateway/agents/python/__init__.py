"""Agents that are a Python function in the gateway."""
