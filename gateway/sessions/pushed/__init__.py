"""Runs that a worker outside writes."""
