"""Holds this process's places in callers' limits: renewed while open, given back at the end."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from midstream.errors import StoreError
from midstream.limits.settling import Settling
from midstream.store.redis.limits import Held

if TYPE_CHECKING:
    from midstream.sessions.types import EndedRun
    from midstream.store.redis.limits import LimitCounts

logger = logging.getLogger(__name__)

LEASE_MS: Final = 30_000
RENEW_S: Final = 10.0
"""Interval of renewals, short enough for one of them to fail."""

PLACES: Final = ("runs", "streams")
"""The kinds that are only given back; the others are also counted at their end."""

RETRY_S: Final = 2.0
"""Delay after a failed renewal."""


class Place(Struct, frozen=True, gc=False):
    """A token that is held in one or more scopes."""

    kind: Held
    token: str
    scopes: tuple[str, ...]


class Kept(Struct, frozen=True, omit_defaults=True):
    """A hold in the form in which a gateway that takes the run over gets it.

    Attributes:
        stored, used: the scopes in which the run's bytes and its tokens are counted at its end.
    """

    places: tuple[Place, ...] = ()
    stored: tuple[str, ...] = ()
    used: tuple[str, ...] = ()


class Hold:
    """Places that are taken while a run or a stream is open. Give them back at most once.

    Implements `RunHold`.
    """

    __slots__ = ("_held", "_keeper", "_what", "kept")

    def __init__(self, keeper: Holds, kept: Kept) -> None:
        self.kept = False
        self._keeper = keeper
        self._what = kept
        self._held = False

    def take(self) -> None:
        """Continue to hold the places."""
        if not self._held:
            self._held = True
            for place in self._what.places:
                self._keeper.add(place)

    def keep(self) -> None:
        """Keep the places beyond the block; the caller of `release` gives them back."""
        self.kept = True
        self.take()

    def release(self, end: EndedRun | None = None) -> None:
        """Give the places back; count the bytes and tokens of the run that has ended."""
        if self._held:
            self._held = False
            if end is not None:
                self._keeper.settle(end, self._what)
            for place in self._what.places:
                self._keeper.remove(place)

    def drop(self) -> None:
        """Stop holding the places: another gateway holds them, or they expire."""
        if self._held:
            self._held = False
            for place in self._what.places:
                self._keeper.remove(place, tell=False)

    def told(self) -> bytes:
        """Return the hold for another gateway, as JSON (see `Kept`)."""
        return msgspec.json.encode(self._what)


class Holds:
    """All holds of this process; `run` is its task."""

    def __init__(self, counts: LimitCounts | None) -> None:
        self._counts = counts
        self._process = secrets.token_hex(8)
        self._held: defaultdict[tuple[str, Held], Counter[str]] = defaultdict(Counter)
        self._let_go: defaultdict[tuple[str, Held], set[str]] = defaultdict(set)
        self._changed = asyncio.Event()
        self._settling = None if counts is None else Settling(counts)
        self.gateways = 1

    def add(self, place: Place) -> None:
        """Hold a token in each of its scopes."""
        kind, token = place.kind, place.token
        for scope in place.scopes:
            self._held[scope, kind][token] += 1
            if scope_gone := self._let_go.get((scope, kind)):
                scope_gone.discard(token)

    def remove(self, place: Place, *, tell: bool = True) -> None:
        """Stop holding a token; Redis learns of it soon, or the token expires there."""
        kind, token = place.kind, place.token
        for scope in place.scopes:
            tokens = self._held[scope, kind]
            tokens[token] -= 1
            if tokens[token] <= 0:
                del tokens[token]
                if tell:
                    self._let_go[scope, kind].add(token)
            if not tokens:
                del self._held[scope, kind]
        if place.scopes and tell:
            self._changed.set()

    def settle(self, end: EndedRun, what: Kept) -> None:
        """Count a run's bytes and tokens soon."""
        if self._settling is not None and (what.stored or what.used):
            self._settling.add(end, what.stored, what.used)
            self._changed.set()

    def count(self, scope: str, kind: Held) -> int:
        """Return how many tokens of a scope are held here."""
        tokens = self._held.get((scope, kind))
        return 0 if tokens is None else len(tokens)

    async def run(self) -> None:
        """Renew the holds, and give back those that ended, until cancelled."""
        renew_at = 0.0
        while self._counts is not None:
            try:
                async with asyncio.timeout(max(0.0, renew_at - time.monotonic())):
                    await self._changed.wait()
            except TimeoutError:
                pass
            try:
                await self.tell()
                if time.monotonic() >= renew_at:
                    renew_at = time.monotonic() + RETRY_S
                    await self.renew()
                    renew_at = time.monotonic() + RENEW_S
            except StoreError as error:
                logger.info("limits_not_renewed reason=%s", error)

    async def renew(self) -> None:
        """Renew all holds in Redis.

        Raises:
            StoreError: they expire unless they are renewed in time.
        """
        if self._counts is not None:
            held = [(*of, [*tokens]) for of, tokens in self._held.items()]
            self.gateways = max(1, await self._counts.hold(self._process, held, LEASE_MS))

    async def tell(self) -> None:
        """Count ended runs, then give back the holds that ended.

        Raises:
            StoreError: the runs are counted again later; the places expire.
        """
        self._changed.clear()
        if self._counts is None or self._settling is None:
            return
        let_go, self._let_go = self._let_go, defaultdict(set)
        places = [(*of, [*tokens]) for of, tokens in let_go.items()]
        await self._counts.release(each for each in places if each[1] in PLACES)
        await self._settling.settle()
        # After the counts: given back uncounted, they would admit too much.
        await self._counts.release(each for each in places if each[1] not in PLACES)
