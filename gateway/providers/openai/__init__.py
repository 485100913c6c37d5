"""OpenAI: what its two APIs share."""
