"""A primary that Sentinels know by name."""
