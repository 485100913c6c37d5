"""Signals: how an answer reached those who read it, counted where a run or a reader ends."""
