"""A provider's module whose row is none."""

ROW = None
