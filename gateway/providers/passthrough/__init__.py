"""Calls of models that pass through: what they ask, what is answered, and how to end them.

Sans-IO. The bytes on their way are not changed; what is here reads along.
"""
