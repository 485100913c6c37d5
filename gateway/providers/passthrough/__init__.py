"""Calls of models that pass through: their requests, their answers, and their ends.

Sans-IO. The passing bytes are not changed: this code reads along.
"""
