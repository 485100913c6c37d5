"""Agents written as Python functions in the gateway."""
