"""Sans-IO translators: one module for each wire that a provider speaks."""
