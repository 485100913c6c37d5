"""What a run of the driver counts: faults, what people saw, and what must never be."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LIMIT_S: Final = 15.0
"""How long the readers of an answer may wait for its end, once it is due and all is well."""


class Ledger:
    """The books of one run.

    Args:
        say: told at once what is wrong, and now and again how it stands.

    Attributes:
        faults: how many of each kind were done.
        seen: what people met: outcomes, refusals, broken connections.
        wrongs: what must not be, in words; each is a failure.
        late_s: how long after health readers got their end, of those that did.
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
        """Something is broken for the length of the block."""
        self._unwell += 1
        try:
            yield
        finally:
            self._unwell -= 1
            self.shaken()

    def shaken(self) -> None:
        """Something was broken for a moment: what follows counts from now."""
        self._well_since = time.monotonic()

    def overdue_s(self, due: float) -> float:
        """Return for how long all has been well since `due`; negative while it is not."""
        return -1.0 if self._unwell else time.monotonic() - max(due, self._well_since)

    def fault(self, kind: str) -> None:
        """Count a fault that was done."""
        self.faults[kind] += 1

    def saw(self, what: str) -> None:
        """Count what somebody met."""
        self.seen[what] += 1

    def wrong(self, kind: str, **details: object) -> None:
        """Note, and tell, what must never be."""
        told = " ".join(f"{name}={value!r}" for name, value in details.items())
        self.wrongs.append(f"{kind} {told}"[:1_500])
        self._say(f"\nWRONG at {time.monotonic() - self._began:.1f} s: {self.wrongs[-1]}")

    def tell(self) -> None:
        """Say in one line how it stands."""
        self._say(
            f"{time.monotonic() - self._began:5.0f} s  {sum(self.faults.values())} faults, "
            f"{self.seen['answer read whole']} answers read whole, {len(self.wrongs)} wrong"
        )

    def report(self) -> str:
        """Say all of it."""
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
