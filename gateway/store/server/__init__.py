"""The Redis server: the embedded one, and what is known of any."""
