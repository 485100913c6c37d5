"""Authentication: tokens, cookies, agent keys."""
