"""Reading of any provider's stream."""
