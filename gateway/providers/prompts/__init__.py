"""UI messages to requests: one module for each wire that a provider speaks."""
