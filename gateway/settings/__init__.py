"""What can be set: sections, where values come from, and their documentation."""
