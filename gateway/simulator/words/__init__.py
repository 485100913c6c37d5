"""Texts of the simulated models."""
