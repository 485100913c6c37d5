"""A cluster of Redis: which node serves a command, and what becomes of it."""
