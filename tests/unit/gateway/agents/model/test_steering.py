"""Messages that a configured agent's run takes up: where, in which words, and which not."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import Raw

from midstream.agents.base import AgentRequest, Interrupted
from midstream.agents.model.agent import ModelAgent
from midstream.agents.model.config import ModelAgentConfig
from midstream.agents.tools.executor import Tools
from midstream.agents.tools.python_tool import PythonTool
from midstream.ids import ANONYMOUS, RunId, SessionId
from midstream.protocol.assembler import Assembler
from midstream.protocol.chunks import (
    AnyChunk,
    FinishChunk,
    StartChunk,
    StartStepChunk,
    SteeringMessageChunk,
    TextDeltaChunk,
    TextEndChunk,
    TextStartChunk,
    ToolInputAvailableChunk,
)
from midstream.protocol.codec import encode
from midstream.protocol.messages import UIMessage
from midstream.providers.base import PendingCall, StepResult, ToolSpec
from midstream.providers.conversation.messages import model_messages
from tests.support.played_steps import PlayedProvider, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

QUESTION = UIMessage.parse(b'{"id":"u","role":"user","parts":[{"type":"text","text":"Add."}]}')


def said(name: str) -> UIMessage:
    parts = [{"type": "text", "text": name}, {"type": "data-x", "data": 1}]
    return UIMessage.parse(json.dumps({"id": name, "role": "user", "parts": parts}).encode())


def text(word: str) -> Step:
    chunks: list[AnyChunk] = [
        StartStepChunk(),
        TextStartChunk(id=word),
        TextDeltaChunk(id=word, delta=word),
        TextEndChunk(id=word),
    ]
    return Step(chunks, StepResult(finish_reason="stop"))


def calling(name: str) -> Step:
    given = Raw(b"{}")
    chunk = ToolInputAvailableChunk(tool_call_id="t", tool_name=name, input=given)
    call = PendingCall(id="t", name=name, input=given)
    return Step(
        [StartStepChunk(), chunk], StepResult(finish_reason="tool-calls", tool_calls=[call])
    )


class Given:
    """Messages for a run, and its log: what `RunSteers` is to an agent."""

    undelivered: str | None = None

    def __init__(self, *names: str, log: Sequence[AnyChunk] = ()) -> None:
        self.names = list(names)
        self.confirmed: list[str] = []
        self.steps: list[int] = []
        self.log = list(log)
        self._seen = {each.id for each in log if isinstance(each, SteeringMessageChunk)}

    @property
    def waits(self) -> bool:
        return any(name not in self._seen for name in self.names)

    async def arrival(self) -> None:
        raise AssertionError("a configured agent looks at its boundaries")

    async def take(self, step: int) -> Sequence[UIMessage]:
        taken = [name for name in self.names if name not in self._seen]
        self._seen.update(taken)
        self.steps += [step] * len(taken)
        return list(map(said, taken))

    async def confirm(self, ids: Iterable[str], step: int | None = None) -> None:
        in_log = [each.id for each in self.log if isinstance(each, SteeringMessageChunk)]
        assert step is None
        for id_ in ids:
            assert id_ in in_log, "confirmed before the log had it"
            self.confirmed.append(id_)

    async def refuse(self, id_: str, reason: str) -> None:
        raise AssertionError("a model takes what its run was given")

    async def told(self) -> UIMessage:
        assembler = Assembler("a")
        assembler.apply_all(self.log)
        return UIMessage.parse(assembler.message())


class Played:
    """One run: its provider, and the messages given to it while it answers."""

    def __init__(
        self, *steps: Step, during: Callable[[Given], None] | None = None, tools: bool = True,
        max_steps: int = 20, given: Given | None = None,
    ) -> None:  # fmt: skip
        self.given = given or Given()
        self.provider = PlayedProvider(*steps)

        def add() -> int:
            if during is not None:
                during(self.given)
            return 3

        config = ModelAgentConfig(
            name="a", model="m", message_metadata=False, max_steps=max_steps, restarts=True
        )
        known = Tools([PythonTool(add)], [ToolSpec(name="ask")]) if tools else None
        self.agent = ModelAgent(config, self.provider, known)

    async def run(self, **more: Any) -> list[AnyChunk]:
        request = AgentRequest(
            session_id=SessionId("s"), run_id=RunId("r"), message_id="a", user=ANONYMOUS,
            history=[QUESTION], model=None, body=Raw(b"{}"), new_id=lambda: "made-up",
            steering=self.given, **more,
        )  # fmt: skip
        self.given.log.append(StartChunk(message_id="a"))
        async for chunks in self.agent.stream(request):
            self.given.log += chunks
        return self.given.log

    def types(self) -> list[str]:
        """What the run has said, in short."""
        chunks = asyncio.run(self.run())
        return [json.loads(encode(chunk))["type"] for chunk in chunks]

    def prompt(self, index: int) -> list[tuple[str, str]]:
        """Who says what in a request, as a model reads it."""
        return [
            (type(each).__name__.removesuffix("Message"), "".join(_words(each)))
            for each in model_messages(self.provider.requests[index].messages)
        ]


def _words(message: Any) -> list[str]:
    if not hasattr(message, "content"):
        return [message.text]
    return [getattr(part, "text", "") if isinstance(getattr(part, "text", ""), str) else "result"
            for part in message.content]  # fmt: skip


def test_message_given_in_a_tool_comes_after_its_result_and_before_the_next_step() -> None:
    played = Played(calling("add"), text("done"), during=lambda given: given.names.append("no"))
    types = played.types()
    at = types.index("steering-message")
    assert types[at - 2 : at + 2] == [
        "tool-output-available",
        "finish-step",
        "steering-message",
        "start-step",
    ]
    assert types.count("start-step") == 2
    assert [who for who, _ in played.prompt(1)] == ["User", "Assistant", "Tool", "User"]
    assert played.prompt(1)[-1] == ("User", "no")
    assert (played.given.steps, played.given.confirmed) == ([1], ["no"])
    [chunk] = [each for each in played.given.log if isinstance(each, SteeringMessageChunk)]
    assert bytes(chunk.parts) == b'[{"type":"text","text":"no"}]'


@pytest.mark.parametrize("tools", [True, False])
def test_final_answer_is_followed_by_one_more_step_while_a_message_waits(tools: bool) -> None:
    played = Played(text("one"), text("two"), tools=tools)
    played.provider.opened = lambda: played.given.names.append("no")
    types = played.types()
    assert types.count("start-step") == 2
    assert played.prompt(1) == [("User", "Add."), ("Assistant", "one"), ("User", "no")]
    assert played.given.steps == [1]
    assert types[-1] == "finish"


@pytest.mark.parametrize("tools", [True, False])
def test_message_that_waits_before_the_first_step_is_in_its_prompt(tools: bool) -> None:
    played = Played(text("one"), tools=tools, given=Given("early", "too"))
    types = played.types()
    assert types[:4] == ["start", "steering-message", "steering-message", "start-step"]
    assert played.prompt(0) == [("User", "Add."), ("User", "early"), ("User", "too")]
    assert (played.given.steps, played.given.confirmed) == ([0, 0], ["early", "too"])


@pytest.mark.parametrize(
    ("step", "max_steps", "undelivered"),
    [
        (text("one"), 1, "stop-condition"),
        (calling("add"), 1, "stop-condition"),
        (calling("ask"), 9, None),
        (Step([], StepResult(finish_reason="error")), 9, None),
    ],
)
def test_message_stays_where_no_step_may_follow(
    step: Step, max_steps: int, undelivered: str | None
) -> None:
    """A run that waits for a client's tool says so by its message, a failed one by its end."""
    played = Played(step, max_steps=max_steps)
    played.provider.opened = lambda: played.given.names.append("late")
    assert "steering-message" not in played.types()
    assert played.given.waits
    assert (played.given.undelivered, len(played.provider.requests)) == (undelivered, 1)


def test_message_that_the_log_has_already_is_repeated_and_not_taken_twice() -> None:
    """The process died after the log had it; the next one writes the same chunks, then goes on."""
    played = Played(calling("add"), text("done"), during=lambda given: given.names.append("no"))
    memory = _Memory()
    log = asyncio.run(played.run(memory=memory))
    at = next(i for i, chunk in enumerate(log) if isinstance(chunk, SteeringMessageChunk))
    left_at, point = memory.points_before(at)
    interrupted = Interrupted(chunks=log[: at + 1], next=left_at, point=point)
    given = Given("no", "new", log=log[: at + 1])
    again = Played(text("done"), given=given)
    given.log = log[:left_at]
    asyncio.run(again.run(memory=_Memory(interrupted)))
    repeated = [chunk for chunk in given.log if not isinstance(chunk, StartChunk)]
    ids = [each.id for each in repeated if isinstance(each, SteeringMessageChunk)]
    assert ids == ["no", "new"]
    assert repeated[:at] == [c for c in log[: at + 1] if not isinstance(c, StartChunk)]
    assert [word for who, word in again.prompt(0) if who == "User"] == ["Add.", "no", "new"]
    assert isinstance(repeated[-1], FinishChunk)


class _Memory:
    """Points of a run, by the number of chunks that came before."""

    def __init__(self, interrupted: Interrupted | None = None) -> None:
        self.interrupted = interrupted
        self.next = 0 if interrupted is None else interrupted.next
        self.points: list[bytes] = []

    async def reached(self) -> int:
        return self.next

    async def remember(self, point: bytes, *, required: bool = True) -> None:
        self.points.append(point)

    def points_before(self, at: int) -> tuple[int, bytes]:
        """The point of the model's first answer, which is complete: its tool may have begun."""
        del at
        return 3, next(point for point in self.points if b"answered" in point)
