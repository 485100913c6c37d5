"""A whole gateway in this process, fed with what strangers might send: see `__main__`."""
