"""A step as a Responses request."""
