"""The routes of a chat: send, resume, follow, stop, read."""
