"""Tabs that follow a session's feed, and tabs with a WebSocket."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final

from websockets.exceptions import WebSocketException

from tests.chaos.reading import SILENCE_S, Answer, WrongError
from tests.support.websocket import open_socket
from tests.support.wire import ConnectionLost, SseParser

if TYPE_CHECKING:
    import random

    from tests.chaos.ledger import Ledger
    from tests.chaos.reading import Place
    from tests.support.wire import Response

CUT_OFTEN: Final = 0.5


class Follower:
    """Follows a session from position to position, through cuts; `follow` is its task.

    Attributes:
        lost: it was told that the session does not exist (yet, or any more).
    """

    def __init__(self, place: Place, ledger: Ledger, choose: random.Random, session: str) -> None:
        self.lost = False
        self._place = place
        self._ledger = ledger
        self._choose = choose
        self._session = session
        self._position: str | None = None
        self._states: dict[str, str] = {}
        self._next: dict[str, int] = {}
        self._newest: str | None = None

    def is_past(self, run: str) -> bool:
        """Whether the feed has reported the end of a run, or a later run."""
        state = self._states.get(run)
        return state == "ended" or (state is None and self._newest not in (None, run))

    async def follow(self) -> None:
        """Follow until cancelled.

        Raises:
            WrongError: an event does not follow the one before.
        """
        while True:
            path = f"/api/chat/{self._session}/events"
            if self._position is not None:
                path += f"?after={self._position}"
            cut = self._choose.randint(300, 9_000) if self._choose.random() < CUT_OFTEN else None
            try:
                endpoint = self._place.endpoint(self._choose)
                async with endpoint.request("GET", path, cut_after=cut) as response:
                    if response.status not in (200, 503):
                        raise WrongError(f"a follower is told {response.status}")
                    if response.status == 200:
                        await self._follow(response)
            except (ConnectionLost, TimeoutError, OSError) as lost:
                if "as asked" in str(lost):
                    self._ledger.fault("follower's connection cut")
            await asyncio.sleep(self._choose.uniform(0.05, 0.5))

    async def _follow(self, response: Response) -> None:
        """Take events until the connection ends, or is silent for too long."""
        pieces = response.pieces()
        parser = SseParser()
        while True:
            try:
                async with asyncio.timeout(SILENCE_S):
                    piece = await anext(pieces)
            except StopAsyncIteration:
                return
            except TimeoutError:
                self._ledger.saw("a follower's connection that is silent")
                raise
            for event in parser.feed(piece):
                self._take(event.event or "", event.id, json.loads(event.data))

    def _take(self, kind: str, position: str | None, content: Any) -> None:
        self._position = position or self._position
        if kind == "snapshot":
            self.lost = content["epoch"] == ""
            self._next.clear()
            for run in content["runs"]:
                self._newest = run["id"]
                self._states[run["id"]] = run["state"]
            for run_id in self._states:
                if run_id != self._newest:
                    self._states[run_id] = "ended"
        elif kind == "run":
            if self._states.get(content["id"]) == "ended" != content["state"]:
                raise WrongError(f"{content['id']} is {content['state']} after its end")
            if content["id"] not in self._states:
                self._next[content["id"]] = 0
            self._newest = content["id"]
            self._states[content["id"]] = content["state"]
        elif kind == "chunks":
            run_id, first = content["runId"], content["first"]
            expected = self._next.get(run_id, first)
            if first != expected:
                raise WrongError(f"a follower gets chunk {first} of {run_id}, {expected} is next")
            self._next[run_id] = first + len(content["chunks"])


async def sent_by_socket(
    place: Place, ledger: Ledger, choose: random.Random, body: dict[str, Any]
) -> Answer | None:
    """Send over a WebSocket; return the answer, or None if it broke off."""
    answer = Answer()
    cut = choose.randint(1, 80) if choose.random() < CUT_OFTEN else None
    fields = {key: body[key] for key in ("id", "trigger", "messages")}
    more = {"agent": body["agent"], "requestId": body["requestId"]}
    try:
        async with open_socket(place.endpoint(choose), "?v=7") as socket:
            request_id = await socket.send("send", **fields, headers={}, body=more)
            frames = socket.frames(request_id)
            while True:
                async with asyncio.timeout(SILENCE_S):
                    frame = await anext(frames)
                if frame["type"] == "chunk":
                    answer.take(frame["chunk"])
                    cut = None if cut is None else cut - 1
                if cut == 0:
                    ledger.fault("socket cut")
                    socket.cut()
                    return None
                if frame["type"] == "error":
                    if "internal_error" in frame["errorText"]:
                        raise WrongError(f"a socket is told {frame['errorText']}")
                    return None
                if frame["type"] == "end":
                    return answer if answer.is_over and answer.error is None else None
    except (WebSocketException, StopAsyncIteration, TimeoutError, OSError):
        ledger.saw("a connection lost")
        return None
