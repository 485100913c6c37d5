"""Parts of the live demo alone: its agents, tools and pages, and which process runs what."""
