"""Model providers: their events as chunks, our messages as their requests."""
