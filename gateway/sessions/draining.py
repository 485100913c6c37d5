"""Shutdown of this process, for its sessions."""

from __future__ import annotations

from midstream.errors import DrainingError


class Draining:
    """Whether this process is shutting down; readers look when they are woken."""

    def __init__(self) -> None:
        self.started = False

    def check(self) -> None:
        """Raise DrainingError once the shutdown has begun."""
        if self.started:
            raise DrainingError("this gateway is shutting down; connect again")
