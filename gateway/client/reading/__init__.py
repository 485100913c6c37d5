"""The reading side of the client: a session as a program sees it, and what a program does to it."""
