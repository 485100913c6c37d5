"""OpenAI's APIs at Azure."""
