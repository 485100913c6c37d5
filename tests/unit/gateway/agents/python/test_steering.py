"""What people say to the running answer of an agent in Python."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from midstream import Agent, Run
from midstream.aio.pulse import Pulse
from midstream.protocol import UIMessage, encode
from tests.unit.gateway.agents.python.test_agent import kinds, request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

pytestmark = pytest.mark.anyio


class Given:
    """Messages for a run, and what its reader was given before each was confirmed."""

    undelivered = None

    def __init__(self, *names: str) -> None:
        self._waiting = list(names)
        self._arrived = Pulse()
        self.log: list[Any] = []
        self.steps: list[int] = []
        self.confirmed: list[list[str]] = []

    @property
    def waits(self) -> bool:
        return bool(self._waiting)

    def give(self, name: str) -> None:
        self._waiting.append(name)
        self._arrived.send()

    async def arrival(self) -> None:
        while not self.waits:
            await self._arrived.wait()

    async def take(self, step: int) -> Sequence[UIMessage]:
        names, self._waiting = self._waiting, []
        self.steps += [step] * len(names)
        return [
            UIMessage.parse(
                b'{"id":"%b","role":"user","parts":[{"type":"text","text":"%b"}]}'
                % (name.encode(), name.encode())
            )
            for name in names
        ]

    async def confirm(self, ids: Iterable[str], step: int | None = None) -> None:
        said = [each["id"] for each in self.log if each["type"] == "steering-message"]
        assert (said[-len(list(ids)) :], step) == (list(ids), None)
        self.confirmed.append(kinds(self.log))

    async def refuse(self, id_: str, reason: str) -> None:
        raise AssertionError("an agent in Python takes what it asks for")

    async def told(self) -> UIMessage:
        raise AssertionError("an agent in Python knows what it has said")

    async def read(self, answer: Callable[[Run], Any]) -> list[Any]:
        agent = Agent("a", answer)
        async for chunks in agent.stream(request(steering=self)):
            self.log += [json.loads(encode(chunk)) for chunk in chunks]
        return self.log


async def test_what_an_agent_takes_stands_between_two_steps_of_its_answer() -> None:
    given = Given()

    async def answer(run: Run) -> None:
        assert list(await run.take_steering()) == []
        await run.text("One")
        given.give("no")
        taken = await run.take_steering()
        assert [message.text for message in taken] == ["no"]
        assert list(await run.take_steering()) == []
        await run.text("Two")

    said = await given.read(answer)
    assert kinds(said) == [
        *["start-step", "text-start", "text-delta", "text-end", "finish-step"],
        "steering-message",
        *["start-step", "text-start", "text-delta", "text-end", "finish-step", "finish"],
    ]
    assert (said[5]["id"], said[5]["parts"]) == ("no", [{"type": "text", "text": "no"}])
    assert given.steps == [1]
    [before] = given.confirmed
    assert before[-1] == "steering-message"  # its reader had it before it counted as delivered


async def test_messages_come_to_a_task_beside_the_work_until_the_run_ends() -> None:
    given, heard = Given("first"), []
    ended = asyncio.Event()

    async def listen(run: Run) -> None:
        async for message in run.steering:
            heard.append(message.text)
            if message.text == "first":
                given.give("second")
            else:
                ended.set()

    tasks: list[asyncio.Task[None]] = []

    async def answer(run: Run) -> None:
        tasks.append(asyncio.create_task(listen(run)))
        await ended.wait()
        await run.text("Done")

    said = await given.read(answer)
    await asyncio.wait_for(tasks[0], 30)
    assert heard == ["first", "second"]
    assert kinds(said).count("steering-message") == 2


async def test_run_that_nobody_can_steer_takes_nothing() -> None:
    async def answer(run: Run) -> None:
        assert list(await run.take_steering()) == []
        assert [message async for message in run.steering] == []

    agent = Agent("a", answer)
    assert [chunk async for chunks in agent.stream(request()) for chunk in chunks]
