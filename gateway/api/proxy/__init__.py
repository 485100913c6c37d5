"""Calls to a provider that are passed through."""
