"""Runs that this process produces: from the first chunk to the terminal."""
