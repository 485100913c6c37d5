"""Diagnosis of a session: what happened to each answer, told from the records of its log."""
