"""The queue of a session, as the store has it."""
