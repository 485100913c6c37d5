"""Who calls: tokens, cookies, agent keys."""
