"""Containment of failures: each costs one session or one run, never the process.

Each background loop serves many sessions. What goes wrong with one of them is logged with its
names, counted, and tried again later; the others are served meanwhile. What fails again and
again is left alone: it is in quarantine.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from midstream.errors import GatewayError
from midstream.telemetry import FAILURES_CONTAINED, QUARANTINED

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Iterator

logger = logging.getLogger(__name__)

TRIES: Final = 5
"""Failures of an item before it is left alone."""

FIRST_DELAY_S: Final = 2.0
LAST_DELAY_S: Final = 60.0
"""Rest of a failed item; twice as long after each further failure."""

MAX_ITEMS: Final = 1_000
"""Items remembered by one quarantine. Beyond them the oldest is forgotten, and tried again."""

FIRST_RESTART_S: Final = 0.1
LAST_RESTART_S: Final = 10.0
"""Between a loop's failure and its next beginning."""

STEADY_S: Final = 60.0
"""A loop that ran for so long is well again: its next restart comes soon."""

K = TypeVar("K", bound="Hashable")


@contextmanager
def contained(
    where: str,
    *,
    session: str = "",
    run: str = "",
    passes: tuple[type[Exception], ...] = (),
) -> Iterator[None]:
    """Log and count an exception of the block, and swallow it.

    Cancellation is not caught.

    Args:
        where: what was being done, for the log and the metric.
        session, run: whose the failure is, if it is anybody's.
        passes: exceptions that the caller handles itself.
    """
    try:
        yield
    except passes:
        raise
    except Exception as error:
        report(where, error, session=session, run=run)


def report(where: str, error: Exception, *, session: str = "", run: str = "") -> None:
    """Log and count a failure that costs one session or run; a bug with its traceback."""
    FAILURES_CONTAINED.labels(where).inc()
    is_known = isinstance(error, GatewayError)  # anything else is a bug
    logger.error(
        "contained at=%s session=%s run=%s reason=%s",
        *(where, session, run, _reason(error)),
        exc_info=None if is_known else error,
    )


def _reason(error: Exception) -> str:
    cause = error.__cause__ or error
    return f"{type(cause).__name__}: {cause}"


class _FailingItem:
    __slots__ = ("failures", "not_before")

    def __init__(self) -> None:
        self.failures = 0
        self.not_before = 0.0


class Quarantine(Generic[K]):
    """Failures of items: each rests before its next attempt, and is left alone in the end.

    Args:
        where: what is being done to the items, for the log and the metric.
        tries: how often an item may fail.
        now: returns the time in seconds.
    """

    def __init__(
        self, where: str, *, tries: int = TRIES, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._where = where
        self._tries = tries
        self._now = now
        self._items: OrderedDict[K, _FailingItem] = OrderedDict()

    def admits(self, key: K) -> bool:
        """Whether an item may be tried now."""
        item = self._items.get(key)
        return item is None or (item.failures < self._tries and self._now() >= item.not_before)

    def failed(self, key: K, error: Exception, *, session: str, run: str = "") -> bool:
        """Note a failure; the first is logged whole, and so is the last.

        Returns:
            Whether the item is in quarantine from now on.
        """
        item = self._items.get(key)
        if item is None:
            report(self._where, error, session=session, run=run)
            item = self._items[key] = _FailingItem()
            if len(self._items) > MAX_ITEMS:
                self._drop(next(iter(self._items)))
        else:
            FAILURES_CONTAINED.labels(self._where).inc()
        item.failures += 1
        delay_s = min(LAST_DELAY_S, FIRST_DELAY_S * 2 ** (item.failures - 1))
        item.not_before = self._now() + delay_s
        if item.failures != self._tries:
            return False
        QUARANTINED.labels(self._where).inc()
        logger.error(
            "quarantined at=%s session=%s run=%s failures=%d reason=%s",
            *(self._where, session, run, item.failures, _reason(error)),
        )
        return True

    def succeeded(self, key: K) -> None:
        """Forget an item's failures."""
        if key in self._items:
            self._drop(key)

    def _drop(self, key: K) -> None:
        if self._items.pop(key).failures >= self._tries:
            QUARANTINED.labels(self._where).dec()


async def keep_running(name: str, loop: Callable[[], Awaitable[None]]) -> None:
    """Run a loop until cancelled; begin it again when it fails, later each time.

    A loop contains its items' failures itself: one that ends here has a bug, which is logged
    and counted each time.
    """
    delay_s = FIRST_RESTART_S
    while True:
        began = time.monotonic()
        with contained(name):
            await loop()
            return
        if time.monotonic() - began >= STEADY_S:
            delay_s = FIRST_RESTART_S
        await asyncio.sleep(delay_s)
        delay_s = min(2 * delay_s, LAST_RESTART_S)
