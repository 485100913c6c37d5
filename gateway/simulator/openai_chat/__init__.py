"""The simulated Chat Completions API."""
