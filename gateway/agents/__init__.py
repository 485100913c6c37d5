"""Agents turn a conversation into chunks. `base.py` is their contract."""
