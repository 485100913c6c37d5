"""The queue of a session: messages that wait for their run, and their turns."""
