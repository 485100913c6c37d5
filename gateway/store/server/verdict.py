"""What is said of one property of a server, or of a proxy: that it is good, or what to set."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Level(StrEnum):
    """How good a property is, best first."""

    OK = "ok"
    NOTE = "note"
    """Works, and could be better."""
    DANGER = "danger"
    """Works, and may lose sessions or stop streams one day."""
    FAULT = "fault"
    """Does not work."""


class Verdict(Struct, frozen=True):
    """One property.

    Attributes:
        subject: its name, one word: `eviction`.
        says: what it is, and what follows from it; half a sentence.
        do: what to set, a sentence without its full stop; empty if there is nothing to do.
    """

    subject: str
    level: Level
    says: str
    do: str = ""

    @property
    def text(self) -> str:
        """What is said, without the last full stop."""
        return f"{self.says}. {self.do}" if self.do else self.says

    @property
    def is_bad(self) -> bool:
        """Whether it has to be changed."""
        return self.level in (Level.DANGER, Level.FAULT)
