"""All that is kept of one user: its export, and its erasure."""
