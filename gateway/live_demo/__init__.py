"""What only the live demo has: its tools, and who runs where."""
