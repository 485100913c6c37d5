"""Servers that speak Chat Completions in their own way."""
