"""The simulated Responses API."""
