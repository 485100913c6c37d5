"""A session's log as one process follows it: feeds, runs, readers."""
