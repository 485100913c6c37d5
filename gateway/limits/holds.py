"""What this process holds of callers' limits: said again in time, and given back at its end."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final

from midstream.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midstream.store.limits import Held, LimitCounts

logger = logging.getLogger(__name__)

LEASE_MS: Final = 30_000
RENEW_S: Final = 10.0
"""What is held is said again this often: one renewal may fail."""

RETRY_S: Final = 2.0
"""After a renewal that failed."""


class Hold:
    """A place that is taken for as long as something is open. Give it back once, or not at all."""

    def __init__(self, keeper: Holds, kind: Held, token: str, scopes: Sequence[str]) -> None:
        self.kept = False
        self._keeper = keeper
        self._kind: Held = kind
        self._token = token
        self._scopes = scopes
        self._held = False

    def take(self) -> None:
        """Go on holding it."""
        if not self._held:
            self._held = True
            self._keeper.add(self._kind, self._token, self._scopes)

    def keep(self) -> None:
        """Leave it to whoever calls `release`."""
        self.kept = True
        self.take()

    def release(self) -> None:
        """Give it back."""
        if self._held:
            self._held = False
            self._keeper.remove(self._kind, self._token, self._scopes)


class Holds:
    """What this process holds; `run` is its task."""

    def __init__(self, counts: LimitCounts | None) -> None:
        self._counts = counts
        self._process = secrets.token_hex(8)
        self._held: defaultdict[tuple[str, Held], Counter[str]] = defaultdict(Counter)
        self._let_go: defaultdict[tuple[str, Held], set[str]] = defaultdict(set)
        self._changed = asyncio.Event()
        self.gateways = 1

    def add(self, kind: Held, token: str, scopes: Sequence[str]) -> None:
        """Hold a token in each scope."""
        for scope in scopes:
            self._held[scope, kind][token] += 1
            if scope_gone := self._let_go.get((scope, kind)):
                scope_gone.discard(token)

    def remove(self, kind: Held, token: str, scopes: Sequence[str]) -> None:
        """Hold it no more; Redis is told soon, or forgets it by itself."""
        for scope in scopes:
            tokens = self._held[scope, kind]
            tokens[token] -= 1
            if tokens[token] <= 0:
                del tokens[token]
                self._let_go[scope, kind].add(token)
            if not tokens:
                del self._held[scope, kind]
        if scopes:
            self._changed.set()

    def count(self, scope: str, kind: Held) -> int:
        """Return how many tokens of a scope are held here."""
        tokens = self._held.get((scope, kind))
        return 0 if tokens is None else len(tokens)

    async def run(self) -> None:
        """Say what is held until cancelled, and what is not any more."""
        renew_at = 0.0
        while self._counts is not None:
            try:
                async with asyncio.timeout(max(0.0, renew_at - time.monotonic())):
                    await self._changed.wait()
            except TimeoutError:
                pass
            self._changed.clear()
            let_go, self._let_go = self._let_go, defaultdict(set)
            try:
                await self._counts.release((*of, [*tokens]) for of, tokens in let_go.items())
                if time.monotonic() >= renew_at:
                    renew_at = time.monotonic() + RETRY_S
                    held = [(*of, [*tokens]) for of, tokens in self._held.items()]
                    self.gateways = max(1, await self._counts.hold(self._process, held, LEASE_MS))
                    renew_at = time.monotonic() + RENEW_S
            except StoreError as error:
                logger.info("limits_not_renewed reason=%s", error)
