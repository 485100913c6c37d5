"""What reading any provider's stream needs."""
