"""Counts a driver's faults, people's observations, and violations."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LIMIT_S: Final = 15.0
"""Time that readers may wait for an answer's end, once it is due and all faults have ended."""


class Ledger:
    """The counts of one run of the driver.

    Args:
        say: prints each violation at once, and the counts from time to time.

    Attributes:
        faults: the number of faults of each kind.
        seen: people's observations: outcomes, refusals, broken connections.
        wrongs: the violations, in words; each fails the run.
        late_s: for each answer that ended, the wait of its readers after all faults had ended.
    """

    def __init__(self, say: Callable[[str], None] = lambda _: None) -> None:
        self._say = say
        self.faults: Counter[str] = Counter()
        self.seen: Counter[str] = Counter()
        self.wrongs: list[str] = []
        self.late_s: list[float] = []
        self._began = time.monotonic()
        self._unwell = 0
        self._well_since = self._began

    @contextmanager
    def unwell(self) -> Iterator[None]:
        """Count the block's time as broken."""
        self._unwell += 1
        try:
            yield
        finally:
            self._unwell -= 1
            self.shaken()

    def shaken(self) -> None:
        """Note a momentary fault: waits count from now."""
        self._well_since = time.monotonic()

    def overdue_s(self, due: float) -> float:
        """Return the time without faults since `due`; negative during a fault."""
        return -1.0 if self._unwell else time.monotonic() - max(due, self._well_since)

    def fault(self, kind: str) -> None:
        """Count a fault that was done."""
        self.faults[kind] += 1

    def saw(self, what: str) -> None:
        """Count a person's observation."""
        self.seen[what] += 1

    def wrong(self, kind: str, **details: object) -> None:
        """Note and print a violation."""
        told = " ".join(f"{name}={value!r}" for name, value in details.items())
        self.wrongs.append(f"{kind} {told}"[:1_500])
        self._say(f"\nWRONG at {time.monotonic() - self._began:.1f} s: {self.wrongs[-1]}")

    def tell(self) -> None:
        """Print the counts in one line."""
        self._say(
            f"{time.monotonic() - self._began:5.0f} s  {sum(self.faults.values())} faults, "
            f"{self.seen['answer read whole']} answers read whole, {len(self.wrongs)} wrong"
        )

    def report(self) -> str:
        """Return all counts as text."""
        late = sorted(self.late_s)
        slowest = f"{late[-1]:.1f} s (of {len(late)})" if late else "none"
        rows = [
            f"\n{sum(self.faults.values())} faults:",
            *(f"  {count:6} {kind}" for kind, count in sorted(self.faults.items())),
            "people met:",
            *(f"  {count:6} {what}" for what, count in sorted(self.seen.items())),
            f"the last end of an answer came {slowest} after it was due and all was well",
            f"{len(self.wrongs)} wrong",
            *(f"  {wrong}" for wrong in self.wrongs),
        ]
        return "\n".join(rows)
