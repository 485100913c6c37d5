"""Calls while another server becomes the primary: none of the old one's connections is used again.

One that stayed would be fatal for ten seconds, in which a demoted primary acknowledges writes.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import pytest

from midstream.errors import StoreUnavailableError
from midstream.store.redis.client import RedisClient
from midstream.store.server.settings import StoreSettings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from midstream.store.scripts.script import Command

pytestmark = pytest.mark.anyio

ASK: Final[Command] = ("GET", "k")


class FakeConnection:
    """A connection to a server that answers each command with its name."""

    def __init__(self, servers: Servers) -> None:
        self.servers, self.server = servers, servers.primary
        self.is_connected = False

    async def can_read(self) -> bool:
        await self.servers.at("look")
        return False

    def pack_commands(self, commands: Iterable[Command]) -> list[bytes]:
        return []

    async def send_packed_command(self, command: object) -> None:
        self.is_connected = True
        self.servers.asked.append(self.server)
        await self.servers.at("send")

    async def read_response(self) -> str:
        await self.servers.at("reply")
        return self.server

    async def disconnect(self, nowait: bool = False) -> None:
        self.is_connected = False
        await self.servers.at("disconnect")


class Servers:
    """`Dial` of two servers. `moment`: what a call does when the second becomes the primary."""

    is_sure: Final = True

    def __init__(self) -> None:
        self.primary = "first"
        self.asked: list[str] = []
        self.moment = ""
        self._moves: list[Callable[[], Awaitable[None]]] = []

    def connection(self) -> FakeConnection:
        return FakeConnection(self)

    def look_again(self) -> None:
        """There is nobody to ask."""

    def on_move(self, move: Callable[[], Awaitable[None]]) -> None:
        self._moves.append(move)

    async def at(self, moment: str) -> None:
        if moment == self.moment:
            self.moment = ""
            await self.change()
        else:
            await asyncio.sleep(0)

    async def change(self) -> None:
        self.primary = "second"
        for move in self._moves:
            await move()


@pytest.fixture
def servers() -> Servers:
    return Servers()


@pytest.fixture
def client(servers: Servers) -> RedisClient:
    return RedisClient(servers, StoreSettings())  # type: ignore[arg-type]


@pytest.mark.parametrize("moment", ["send", "reply"])
async def test_call_under_way_has_no_outcome_and_leaves_no_connection_behind(
    servers: Servers, client: RedisClient, moment: str
) -> None:
    """Also if its reply has come: the old server had acknowledged it, and it may be lost."""
    servers.moment = moment
    with pytest.raises(StoreUnavailableError):
        await client.run(ASK)
    assert await client.run(ASK) == "second"


async def test_connection_that_waits_to_be_closed_is_used_by_nobody(
    servers: Servers, client: RedisClient
) -> None:
    await asyncio.gather(*(client.run(ASK) for _ in range(3)))
    change = asyncio.create_task(servers.change())
    await asyncio.sleep(0)
    assert (servers.primary, change.done()) == ("second", False)
    assert await client.run(ASK) == "second"
    await change
    assert servers.asked == ["first"] * 3 + ["second"]


async def test_connection_that_is_being_prepared_for_calls_is_given_up(
    servers: Servers, client: RedisClient
) -> None:
    await client.run(ASK)
    servers.moment = "look"
    await client.prepare_calls()
    assert servers.primary == "second"
    assert not client.call(1, b"", lambda _: None)
    assert await client.run(ASK) == "second"
