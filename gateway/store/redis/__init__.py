"""The store as it stands in Redis."""
