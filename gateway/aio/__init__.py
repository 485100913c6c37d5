"""Small tools for asyncio: wake-ups, pauses between tries, idle timeouts."""
