"""A step as a Messages request."""
