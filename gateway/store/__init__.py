"""The session log in Redis: the contract, and the one implementation of it."""
