"""Agents that are a model, a prompt and tools."""
