"""Agents and workers that write at once: each message is whole, in every tab."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from msgspec.structs import replace

from midstream.ids import SessionId
from midstream.protocol.assembler import Assembler
from midstream.protocol.codec import decode
from midstream.sessions.types import Idle, PushedEnd, PushedRun
from midstream.store.calls import RunKey
from tests.support.played import ALICE, Reading, Script, send, user_message

if TYPE_CHECKING:
    from collections.abc import Callable

    from midstream.ids import RunId
    from midstream.protocol.position import Position
    from midstream.sessions.service import Sessions

pytestmark = pytest.mark.anyio

WORDS = 12
START = b'{"type":"start"}'


def delta(text: str) -> bytes:
    return msgspec.json.encode({"type": "text-delta", "id": "t", "delta": text})


class Tab:
    """A follower that keeps what it is told of each run, over reloads."""

    def __init__(self, sessions: Sessions, session_id: SessionId) -> None:
        self.sessions = sessions
        self.session_id = session_id
        self.chunks: dict[str, list[bytes]] = {}
        self.ended: set[str] = set()
        self.is_ready = False
        self._more = asyncio.Event()
        self._position: Position | None = None
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        self._task = asyncio.create_task(self._follow())
        await self.until(lambda: self.is_ready)

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def close_after(self, runs: set[str]) -> None:
        await self.until(lambda: self.ended >= runs)
        await self.close()

    async def _follow(self) -> None:
        reader = await self.sessions.follow(ALICE, self.session_id, self._position, side=True)
        async with reader:
            async for item in reader:
                if isinstance(item, Idle):
                    continue
                data = msgspec.json.decode(item.data)
                self._position = item.position or self._position
                self.is_ready = True
                if item.event == "chunks":
                    # The agent may have begun before the tab did.
                    begun = [START] if data["first"] == 1 else []
                    kept = self.chunks.setdefault(data["runId"], begun)
                    assert data["first"] == len(kept), "a chunk is missing, or comes twice"
                    kept += map(msgspec.json.encode, data["chunks"])
                elif item.event == "run" and data["state"] == "ended":
                    self.ended.add(data["id"])
                self._more.set()

    def message(self, run_id: RunId) -> Any:
        assembler = Assembler("m")
        assembler.apply_all([decode(line) for line in self.chunks[run_id]])
        return msgspec.json.decode(assembler.message() or b"null")["parts"]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait, and fail with the follower if it fails."""
        async with asyncio.timeout(30):
            while not condition():
                assert self._task is not None
                self._more.clear()
                more = asyncio.create_task(self._more.wait())
                await asyncio.wait({self._task, more}, return_when=asyncio.FIRST_COMPLETED)
                more.cancel()
                if self._task.done():
                    self._task.result()


async def claim(sessions: Sessions, session_id: SessionId, name: str) -> PushedRun:
    job = send(session_id, user_message(name, name), request_key=f"job-{name}")
    return await sessions.pushed.claim(ALICE, replace(job, side=True), name)


async def push(
    sessions: Sessions, run: PushedRun, session_id: SessionId, name: str, by: Any
) -> int:
    """Write a run word by word, until it is done or stopped; return the words that are stored."""
    key = RunKey(session_id=session_id, run_id=run.run.id, fence=run.fence)
    lines = [b'{"type":"start-step"}', b'{"type":"text-start","id":"t"}']
    first, words = 1, 0
    for word in range(WORDS):
        pushed = await sessions.pushed.append(ALICE, key, first, [*lines, delta(f"{name}{word} ")])
        first, lines, words = pushed.next, [], words + 1
        if pushed.stopped_by is not None:
            await sessions.pushed.end(ALICE, key, PushedEnd(first=first, outcome="stopped"))
            return words
        await asyncio.sleep(by.random() / 500)
    await sessions.pushed.end(ALICE, key, PushedEnd(first=first, outcome="finished"))
    return words


async def stored_parts(sessions: Sessions, session_id: SessionId, run_id: RunId) -> Any:
    found = await sessions.store.load_run(session_id, run_id)
    assert found is not None
    snapshot = await sessions.snapshot(ALICE, session_id, side=True)
    stored = {m["id"]: m["parts"] for m in map(msgspec.json.decode, snapshot.messages)}
    return stored[found.run.message_id]


@pytest.mark.parametrize("seed", range(6))
async def test_writers_at_once_never_mix(
    sessions: Sessions, other: Sessions, script: Script, seed: int
) -> None:
    """An agent, and two side runs through two gateways; a tab is reloaded, a run is stopped."""
    by, session_id = random.Random(seed), SessionId(f"chat-{seed}")  # noqa: S311
    reading = Reading(await sessions.start(ALICE, send(session_id, user_message("u1", "hello"))))
    main = await script.next()
    tabs = [Tab(gateway, session_id) for gateway in (sessions, other, sessions)]
    for tab in tabs:
        await tab.open()
    runs = {
        name: (gateway, await claim(gateway, session_id, name))
        for name, gateway in (("a", sessions), ("b", other))
    }
    ids = {name: run.run.id for name, (_, run) in runs.items()}
    ids["main"] = main.request.run_id

    async def play() -> None:
        main.open()
        for word in range(WORDS):
            main.tell(f"main{word} ")
            await asyncio.sleep(by.random() / 500)
        main.end()
        await reading.end()

    async def disturb() -> None:
        after = by.randrange(3, WORDS)
        await tabs[0].until(lambda: len(tabs[0].chunks.get(ids["b"], ())) > after)
        await sessions.stop(ALICE, session_id, run_id=ids["b"])
        await tabs[2].close()
        await asyncio.sleep(by.random() / 200)
        await tabs[2].open()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(play())
        tasks.create_task(disturb())
        written = {
            name: tasks.create_task(push(gateway, run, session_id, name, by))
            for name, (gateway, run) in runs.items()
        }
    for tab in tabs:
        await tab.close_after(set(ids.values()))
    counts = {"main": WORDS, **{name: task.result() for name, task in written.items()}}
    for name, run_id in ids.items():
        said = "".join(f"{name}{word} " for word in range(counts[name]))
        parts = await stored_parts(sessions, session_id, run_id)
        assert [part["text"] for part in parts if part["type"] == "text"] == [said]
        assert all(tab.message(run_id) == parts for tab in tabs)
