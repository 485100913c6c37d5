"""Streams of the API: their bodies, written without a task for each where that can be."""
