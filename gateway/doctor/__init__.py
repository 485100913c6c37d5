"""`midstream doctor`: examines the Redis, and the proxy, that a gateway is to run with."""
