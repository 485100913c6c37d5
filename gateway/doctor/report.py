"""The report of an examination: sentences for people, or JSON for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from midstream.store.server.verdict import Level, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

EXIT_GOOD: Final = 0
EXIT_BAD: Final = 1

_WIDTH: Final = max(len(level) for level in Level)


class Report:
    """What was found, part by part.

    Args:
        show: shows a line; None if the report is JSON.
    """

    def __init__(self, show: Callable[[str], None] | None) -> None:
        self._show = show or (lambda _: None)
        self._parts: list[tuple[str, str, list[Verdict]]] = []

    def begin(self, part: str, address: str) -> None:
        """Begin a part: `redis`, or `proxy`.

        Args:
            address: without secrets.
        """
        self._parts.append((part, address, []))
        self._show(f"{part.capitalize()} at {address}")

    def tell(self, verdict: Verdict) -> None:
        """Take a verdict, and show it."""
        self._parts[-1][2].append(verdict)
        self._show(f"  {verdict.level:{_WIDTH}}  {verdict.subject:12}  {verdict.text}.")

    @property
    def exit_code(self) -> int:
        """0 if nothing is dangerous or broken."""
        return EXIT_BAD if any(v.is_bad for v in self._verdicts()) else EXIT_GOOD

    def end(self) -> None:
        """Show the sum."""
        levels = [verdict.level for verdict in self._verdicts()]
        counts = [(level, levels.count(level)) for level in reversed(Level)]
        told = ", ".join(f"{count} {level}" for level, count in counts if count)
        advice = "Change what is dangerous or at fault." if self.exit_code else "Fit for use."
        self._show(f"{told}. {advice}")

    def json(self) -> str:
        """Return all of it: `{"good", "examined": [{"part", "address", "verdicts": [...]}]}`."""
        examined = [
            {"part": part, "address": address, "verdicts": verdicts}
            for part, address, verdicts in self._parts
        ]
        return msgspec.json.encode(
            {"good": self.exit_code == EXIT_GOOD, "examined": examined}
        ).decode()

    def _verdicts(self) -> list[Verdict]:
        return [verdict for _, _, verdicts in self._parts for verdict in verdicts]
