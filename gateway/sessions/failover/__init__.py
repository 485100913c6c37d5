"""Runs whose gateway died: found, taken over, closed or resumed."""
