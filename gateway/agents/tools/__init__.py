"""Tools that the gateway executes."""
