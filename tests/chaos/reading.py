"""One tab that reads one answer: it resumes after every cut."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any, Final, Protocol

from tests.support.wire import ConnectionLost

if TYPE_CHECKING:
    import random

    from tests.chaos.ledger import Ledger
    from tests.support.wire import Endpoint, Response

CUT_OFTEN: Final = 0.6
EXACT_OFTEN: Final = 0.5
SILENCE_S: Final = 12.0
"""Silence after which a connection is dead; heartbeats arrive every 3 s."""
GONE_ON_WITHOUT: Final = "the answer may continue without you"


class WrongError(Exception):
    """A chunk or an event that must never arrive."""


class Answer:
    """A tab's state of an answer: its text, as a client assembles it, and its position."""

    def __init__(self) -> None:
        self.heard_at = 0.0  # of the last chunk that the log had not had, by `time.monotonic()`
        self._furthest = -1
        self.begin_again()

    def due(self, due: float) -> float:
        """Return when its end is due, if that was `due` without faults.

        A gateway that resumes the answer of a dead one has the model say it again, at the model's
        pace: it is late while words come, and its end is due once they do not.
        """
        return max(due, self.heard_at)

    def reach(self, sequence: int) -> None:
        """Note how far the answer is. A state that is sent again after a cut is nothing new."""
        self.last = sequence
        if sequence > self._furthest:
            self._furthest, self.heard_at = sequence, time.monotonic()

    def begin_again(self) -> None:
        """Forget all text: the whole state is sent again."""
        self.last = -1
        self.is_over = False
        self.error: str | None = None
        self._parts: list[tuple[str, list[str]]] = []
        self._step = 0

    @property
    def text(self) -> str:
        """The whole text so far."""
        return "".join("".join(pieces) for _, pieces in self._parts)

    def take(self, chunk: dict[str, Any]) -> None:
        """Take the next chunk; raise WrongError where a client would fail."""
        kind = chunk["type"]
        if self.is_over:
            raise WrongError(f"{kind} after finish")
        if kind == "start-step":
            self._step = len(self._parts)
        elif kind == "reset-step":
            del self._parts[self._step :]
        elif kind == "text-start":
            self._parts.append((chunk["id"], []))
        elif kind == "text-delta":
            for part, pieces in reversed(self._parts):
                if part == chunk["id"]:
                    pieces.append(chunk["delta"])
                    return
            raise WrongError(f"a delta of no part: {chunk}")
        elif kind == "error":
            self.error = chunk["errorText"]
        elif kind == "finish":
            self.is_over = True


class Place(Protocol):
    """The gateways that tabs may connect to."""

    def endpoint(self, choose: random.Random) -> Endpoint:
        """Return a gateway."""
        ...


class Tab:
    """Reads one run to its end.

    Attributes:
        answer: its state.
    """

    def __init__(
        self, place: Place, ledger: Ledger, choose: random.Random, session: str, run: str
    ) -> None:
        self.answer = Answer()
        self._place = place
        self._ledger = ledger
        self._choose = choose
        self._session = session
        self._run = run
        self._is_exact = choose.random() < EXACT_OFTEN

    async def read(self, first: Response | None = None) -> bool:
        """Read until the end; return False if the answer had ended before it was read whole.

        Args:
            first: the answer to the send, which begins with the first chunk.
        """
        if first is not None and await self._connected(first):
            return True
        while True:
            await asyncio.sleep(self._choose.uniform(0.02, 0.4))
            goes_on = self._is_exact and self.answer.last >= 0
            path = f"/api/chat/{self._session}/stream"
            if goes_on:
                path += f"?after={self.answer.last}&runId={self._run}"
            cut = self._choose.randint(150, 6_000) if self._choose.random() < CUT_OFTEN else None
            try:
                async with asyncio.timeout(SILENCE_S) as patience:
                    endpoint = self._place.endpoint(self._choose)
                    async with endpoint.request("GET", path, cut_after=cut) as response:
                        patience.reschedule(None)
                        if response.status == 204 and not goes_on:
                            return False
                        if response.status == 503:
                            self._ledger.saw("503")
                            continue
                        if response.status != 200:
                            raise WrongError(f"{response.status} {await response.body()!r}"[:300])
                        if response.headers.get("x-midstream-run-id") != self._run:
                            return False  # it has ended, and another has begun
                        if not goes_on:
                            self.answer.begin_again()
                        if await self._connected(response):
                            return True
            except (ConnectionLost, TimeoutError, OSError):
                self._ledger.saw("a connection lost")

    async def _connected(self, response: Response) -> bool:
        """Read a response until it breaks off; return whether it reached the end."""
        events = response.events()
        try:
            while True:
                async with asyncio.timeout(SILENCE_S):
                    event = await anext(events)
                if event.data == "[DONE]":
                    continue
                if event.id is not None:
                    if int(event.id) <= self.answer.last:
                        raise WrongError(f"chunk {event.id} after {self.answer.last}")
                    self.answer.reach(int(event.id))
                self.answer.take(json.loads(event.data))
        except StopAsyncIteration:
            pass
        except (ConnectionLost, TimeoutError, OSError) as lost:
            if "as asked" in str(lost):
                self._ledger.fault("client's connection cut")
            self._ledger.saw("a connection lost")
            return False
        if self.answer.error is not None and GONE_ON_WITHOUT in self.answer.error:
            self._ledger.saw("an answer that continues without its reader")
            self.answer.begin_again()
            return False
        if not self.answer.is_over:
            raise WrongError("the response ended without finish")
        return True
