"""People who come and go: they send, read, reload, stop, follow, leave, and delete their chats."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Final

from tests.bench.clients import Client, Tally, ask, closing, connect, get, post, resume

if TYPE_CHECKING:
    import random

_RATE: Final = 50
_FEWEST: Final = 25
_MOST: Final = 400
"""Deltas of an answer."""
_LIMIT_S: Final = 60.0

_people: Final = itertools.count()


class Person:
    """One person: chat after chat, each deleted at its end.

    Args:
        port: of the gateway.
        draw: decides what comes next; the same seed does the same.
    """

    def __init__(self, port: int, draw: random.Random) -> None:
        self.turns = 0
        self._port = port
        self._draw = draw
        self._name = f"soak-{next(_people)}"
        self._chats = itertools.count()

    async def live(self) -> None:
        """Do it until cancelled."""
        while True:
            chat = f"{self._name}-{next(self._chats)}"
            for number in range(self._draw.randint(1, 3)):
                await self._turn(chat, number)
                self.turns += 1
            await ask(self._port, _delete(chat))

    async def _turn(self, chat: str, number: int) -> None:
        """Send a message, and read its answer in one of the ways."""
        deltas = self._draw.randint(_FEWEST, _MOST)
        way = self._draw.choice((self._read, self._reload, self._stop, self._follow, self._leave))
        (sender,) = await connect(self._port, [closing(_message(chat, number, deltas))], Tally())
        try:
            async with asyncio.timeout(_LIMIT_S):
                await way(chat, sender)
        finally:
            sender.transport.abort()

    async def _read(self, _: str, sender: Client) -> None:
        await sender.ended

    async def _reload(self, chat: str, sender: Client) -> None:
        await self._some_time(sender)
        sender.transport.abort()
        await ask(self._port, get(f"/api/chat/{chat}"))
        await self._read_again(chat)

    async def _stop(self, chat: str, sender: Client) -> None:
        await self._some_time(sender)
        await ask(self._port, post(f"/api/chat/{chat}/stop", {}))
        await sender.ended

    async def _follow(self, chat: str, sender: Client) -> None:
        (tab,) = await connect(self._port, [get(f"/api/chat/{chat}/events")], Tally())
        try:
            await sender.ended
        finally:
            tab.transport.abort()

    async def _leave(self, chat: str, sender: Client) -> None:
        """Go away, and be back later."""
        await self._some_time(sender)
        sender.transport.abort()
        await asyncio.sleep(self._draw.uniform(0, 3))
        await self._read_again(chat)

    async def _read_again(self, chat: str) -> None:
        (again,) = await connect(self._port, [closing(resume(chat))], Tally())
        try:
            await again.ended
        finally:
            again.transport.abort()

    async def _some_time(self, sender: Client) -> None:
        """Wait for a while, or for the answer's end."""
        await asyncio.wait({sender.ended}, timeout=self._draw.uniform(0.1, 4))


def _message(chat: str, number: int, deltas: int) -> bytes:
    text = f"plan rate={_RATE} deltas={deltas} ends=1"
    message = {
        "id": f"{chat}-{number}",
        "role": "user",
        "parts": [{"type": "text", "text": text}],
    }
    return post("/api/chat", {"id": chat, "messages": [message], "trigger": "submit-message"})


def _delete(chat: str) -> bytes:
    return f"DELETE /api/chat/{chat} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n".encode()
