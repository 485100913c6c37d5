"""Failures of providers: recognised, named, retried."""
