"""Settings: sections, sources of values, and documentation."""
