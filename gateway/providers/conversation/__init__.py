"""A conversation as every model reads it, before a provider's API gives it its form."""
