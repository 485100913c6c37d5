"""What this process holds of callers' limits: said again in time, and given back at its end."""

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
from midstream.store.limits import Held

if TYPE_CHECKING:
    from midstream.sessions.types import EndedRun
    from midstream.store.limits import LimitCounts

logger = logging.getLogger(__name__)

LEASE_MS: Final = 30_000
RENEW_S: Final = 10.0
"""What is held is said again this often: one renewal may fail."""

PLACES: Final = ("runs", "streams")
"""Of what is held, what is not counted at its end."""

RETRY_S: Final = 2.0
"""After a renewal that failed."""


class Place(Struct, frozen=True, gc=False):
    """A token that is held in some scopes."""

    kind: Held
    token: str
    scopes: tuple[str, ...]


class Kept(Struct, frozen=True, omit_defaults=True):
    """A hold as another gateway is told of it, which goes on with the run.

    Attributes:
        stored, used: the scopes in which the run's bytes and its tokens are counted at its end.
    """

    places: tuple[Place, ...] = ()
    stored: tuple[str, ...] = ()
    used: tuple[str, ...] = ()


class Hold:
    """Places that are taken for as long as something is open. Give them back once, or not at all.

    Implements `RunHold`.
    """

    def __init__(self, keeper: Holds, kept: Kept) -> None:
        self.kept = False
        self._keeper = keeper
        self._what = kept
        self._held = False

    def take(self) -> None:
        """Go on holding them."""
        if not self._held:
            self._held = True
            for place in self._what.places:
                self._keeper.add(place)

    def keep(self) -> None:
        """Leave them to whoever calls `release`."""
        self.kept = True
        self.take()

    def release(self, end: EndedRun | None = None) -> None:
        """Give them back; count what the run that has ended has stored and used."""
        if self._held:
            self._held = False
            if end is not None:
                self._keeper.settle(end, self._what)
            for place in self._what.places:
                self._keeper.remove(place)

    def drop(self) -> None:
        """Hold them no more: another gateway does, or they run out."""
        if self._held:
            self._held = False
            for place in self._what.places:
                self._keeper.remove(place, tell=False)

    def told(self) -> bytes:
        """Return what another gateway needs to hold them."""
        return msgspec.json.encode(self._what)


class Holds:
    """What this process holds; `run` is its task."""

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
        """Hold it no more; Redis is told soon, or forgets it by itself."""
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
        """Count soon what a run has stored and used."""
        if self._settling is not None and (what.stored or what.used):
            self._settling.add(end, what.stored, what.used)
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
            try:
                await self.tell()
                if time.monotonic() >= renew_at:
                    renew_at = time.monotonic() + RETRY_S
                    await self.renew()
                    renew_at = time.monotonic() + RENEW_S
            except StoreError as error:
                logger.info("limits_not_renewed reason=%s", error)

    async def renew(self) -> None:
        """Say what is held, so that it goes on counting.

        Raises:
            StoreError: it runs out unless it is said in time.
        """
        if self._counts is not None:
            held = [(*of, [*tokens]) for of, tokens in self._held.items()]
            self.gateways = max(1, await self._counts.hold(self._process, held, LEASE_MS))

    async def tell(self) -> None:
        """Count what has ended, then say what is not held any more.

        Raises:
            StoreError: what was counted is counted again; places expire.
        """
        self._changed.clear()
        if self._counts is None or self._settling is None:
            return
        let_go, self._let_go = self._let_go, defaultdict(set)
        places = [(*of, [*tokens]) for of, tokens in let_go.items()]
        await self._counts.release(each for each in places if each[1] in PLACES)
        await self._settling.settle()
        # After they are counted: in between, a limit would admit too much.
        await self._counts.release(each for each in places if each[1] not in PLACES)
