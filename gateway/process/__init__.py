"""The processes: the command line, the parent, its workers."""
