"""Agents: what turns a conversation into chunks. `base.py` says what one is."""
