"""One gateway's sessions in this process, and conversations with strangers through them."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from midstream.agents.model.agent import ModelAgent
from midstream.agents.model.config import ModelAgentConfig
from midstream.agents.python.agent import Agent
from midstream.agents.tools.executor import Tools
from midstream.api.chat.start_request import read_start
from midstream.errors import ClientError, GatewayError
from midstream.ids import SessionId, UserId
from midstream.protocol.codec import decode
from midstream.protocol.errors import ProtocolError, RemoteProtocolError
from midstream.protocol.refused_keys import is_refused
from midstream.sessions import Limits, open_sessions
from midstream.sessions.access import Caller
from midstream.sessions.types import Idle
from midstream.store.redis.store import RedisStore
from tests.fuzz.corpus import CHUNKS, PARTS, WIRES, cases
from tests.fuzz.far_end import GOOD_TEXT, FarEnd
from tests.fuzz.mutations import mutated, pieces, stream_of, text_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from midstream.agents.base import AnyAgent
    from midstream.agents.python.run import Run
    from midstream.sessions.service import Sessions
    from tests.fuzz.corpus import Wire

RUN_LIMIT_S: Final = 30.0
"""A run that takes longer hangs: it has no wait in it."""

MUTATED_A_SESSION: Final = 8

STRANGER: Final = Caller(user=UserId("stranger"))


class FailedError(Exception):
    """A stranger has done harm. `steps`: the requests before it."""

    def __init__(self, why: str, steps: Sequence[str]) -> None:
        super().__init__("\n".join([why, *(f"  after {step}" for step in steps)]))


class _Tracebacks(logging.Handler):
    """Keeps every log record with a traceback: each one is a bug."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            text = logging.Formatter().formatException(record.exc_info)
            lines = text.splitlines()
            place = next((line for line in reversed(lines) if line.startswith("  File")), "")
            self.seen.append(f"{lines[-1][:200]} {place.strip()} ({record.getMessage()})\n{text}")


class Fuzzed:
    """A gateway whose providers, clients and agents are strangers'."""

    def __init__(self, sessions: Sessions, finder: _Finder) -> None:
        self._sessions = sessions
        self._finder = finder
        self._tracebacks = _Tracebacks()
        logging.getLogger("midstream").addHandler(self._tracebacks)
        logging.getLogger("asyncio").addHandler(self._tracebacks)

    def close(self) -> None:
        """Look at the logs no more."""
        logging.getLogger("midstream").removeHandler(self._tracebacks)
        logging.getLogger("asyncio").removeHandler(self._tracebacks)

    async def converse(self, seed: str) -> int:
        """Have one conversation; return the number of its mutated runs.

        Raises:
            FailedError: a run hung, a traceback was logged, a client could not read what it got,
                or a good run did not follow.
        """
        talk = _Talk(self._sessions, self._finder, random.Random(seed))  # noqa: S311 - a test's
        try:
            for _ in range(MUTATED_A_SESSION):
                await talk.mutated_run()
                self._look(talk)
            for wire in WIRES:
                await talk.good_run(wire)
                self._look(talk)
        except FailedError:
            raise
        except Exception as error:
            raise FailedError(f"{type(error).__name__}: {error}", talk.steps) from error
        finally:
            self._tracebacks.seen.clear()
            await talk.erase()
        return MUTATED_A_SESSION

    def _look(self, talk: _Talk) -> None:
        if self._tracebacks.seen:
            raise FailedError(f"a traceback: {self._tracebacks.seen[0]}", talk.steps)


class _Talk:
    """One session, and its requests."""

    def __init__(self, sessions: Sessions, finder: _Finder, dice: random.Random) -> None:
        self._sessions = sessions
        self._finder = finder
        self._dice = dice
        self._id = f"chat-{dice.getrandbits(64):x}"
        self._number = 0
        self.steps: list[str] = []

    async def mutated_run(self) -> None:
        """Let a stranger do something."""
        dice = self._dice
        match dice.randrange(10):
            case 0 | 1:
                await self._answer_last()
            case 2 | 3:
                await self._send(mutated(self._message(), dice), dice.choice(WIRES))
            case 4 | 5:
                chunks = mutated(dice.choice(CHUNKS), dice, times=dice.randrange(1, 6))
                chunks = chunks if isinstance(chunks, list) else [chunks]
                self._finder.chunks = [text_of(chunk) for chunk in chunks if chunk is not None]
                self.steps.append(f"chunks {self._finder.chunks}")
                await self._send(self._message(), "backend")
            case _:
                case = dice.choice(cases()[dice.choice(WIRES)])
                data = stream_of(case.events, dice, changed=True)
                self._finder.tools = case.tools
                self._finder.far_ends[case.wire].answers = [pieces(data, dice)]
                self.steps.append(f"{case.name} {data!r}")
                await self._send(self._message(), case.wire)
        self._finder.tools = []
        for far_end in self._finder.far_ends.values():
            far_end.answers.clear()
            far_end.refusals.clear()

    async def good_run(self, wire: Wire) -> None:
        """Send something that nothing is wrong with; raises FailedError if it is not answered."""
        self.steps.append(f"a good run with {wire}")
        far_end = self._finder.far_ends[wire]
        chunks = await self._send(self._message(plain=True), wire)
        if far_end.refusals:
            raise FailedError(f"{wire} would refuse: {far_end.refusals[0]}", self.steps)
        text = "".join(str(c["delta"]) for c in chunks or () if c["type"] == "text-delta")
        if text != GOOD_TEXT or chunks is None or chunks[-1].get("finishReason") != "stop":
            raise FailedError(f"no good run with {wire} follows: {chunks}", self.steps)

    async def erase(self) -> None:
        """Leave nothing behind."""
        try:
            await self._sessions.erase(STRANGER, SessionId(self._id))
        except ClientError:
            return  # nothing was ever accepted

    async def _answer_last(self) -> None:
        """Send the last answer again, its calls answered somehow."""
        try:
            snapshot = await self._sessions.snapshot(STRANGER, SessionId(self._id))
        except ClientError:
            return
        last = json.loads(bytes(snapshot.messages[-1]), parse_int=float)
        if last["role"] != "assistant":
            return
        for part in last["parts"]:
            if part.get("state") == "input-available":
                part["state"], part["output"] = "output-available", {"celsius": 21}
            elif part.get("state") == "approval-requested":
                part["state"] = "approval-responded"
                part["approval"]["approved"] = self._dice.random() < 0.5
        message = last
        if self._dice.random() < 0.7:
            with suppress(RecursionError):
                message = mutated(last, self._dice)
        if isinstance(message, dict):
            message["id"], message["role"] = last["id"], "assistant"
        await self._send(message, self._dice.choice(WIRES))

    def _message(self, *, plain: bool = False) -> dict[str, Any]:
        self._number += 1
        parts = PARTS[:1] if plain else self._dice.choices(PARTS, k=self._dice.randrange(1, 4))
        return {"id": f"u{self._number}", "role": "user", "parts": parts}

    async def _send(self, message: object, agent: str) -> list[dict[str, Any]] | None:
        """Send; return the answer as a client sees it, None if the send was refused."""
        body = text_of({"id": self._id, "messages": [message], "agent": agent})
        self.steps.append(f"sending {body!r} to {agent}")
        try:
            async with asyncio.timeout(RUN_LIMIT_S):
                return await self._answered(body)
        except TimeoutError:
            raise FailedError("a run hangs", self.steps) from None
        except (ClientError, RemoteProtocolError):
            return None

    async def _answered(self, body: bytes) -> list[dict[str, Any]]:
        start = read_start(body, {})
        seen: list[dict[str, Any]] = []
        async with await self._sessions.start(STRANGER, start) as reader:
            async for item in reader:
                if not isinstance(item, Idle):
                    seen += [self._read(line) for line in item.lines(7)]
        if not seen or seen[-1]["type"] != "finish":
            raise FailedError(f"an answer without end: {seen}", self.steps)
        snapshot = await self._sessions.snapshot(STRANGER, SessionId(self._id))
        for stored in snapshot.messages:
            self._read_json(bytes(stored))
        return seen

    def _read(self, line: bytes) -> dict[str, Any]:
        """Read a chunk as a client does."""
        value = self._read_json(line)
        try:
            decode(line)
        except ProtocolError as error:
            raise FailedError(f"a client got {line!r}: {error}", self.steps) from None
        return dict(value)

    def _read_json(self, data: bytes) -> Any:
        try:
            text = data.decode()
            value = json.loads(text, parse_constant=float, parse_int=float)
        except ValueError as error:
            raise FailedError(f"a client got {data!r}: {error}", self.steps) from None
        if is_refused(data):
            raise FailedError(f"a client refuses {data!r}", self.steps)
        return value


class _Finder:
    """The agents: one for each wire, and a backend that plays given answers."""

    def __init__(self) -> None:
        self.far_ends = {wire: FarEnd(wire) for wire in WIRES}
        self.tools: Sequence[Any] = []
        self.chunks: list[bytes] = []
        self._backend = Agent("backend", self._say)

    def find(self, name: str | None, model: str | None) -> AnyAgent:
        """Return an agent; see `AgentFinder`."""
        if name == "backend":
            return self._backend
        wire = next((wire for wire in WIRES if wire == name), WIRES[0])
        config = ModelAgentConfig(
            name=wire, model="m-1", parameters={"max_output_tokens": 100}, max_steps=3
        )
        return ModelAgent(config, self.far_ends[wire].provider, Tools(declared=self.tools))

    async def _say(self, run: Run) -> None:
        for chunk in self.chunks:
            try:
                await run.chunk(chunk)
            except (ProtocolError, TypeError, ValueError):
                continue  # as an agent that passes over what it may not say


@asynccontextmanager
async def fuzzed_gateway(redis_url: str) -> AsyncIterator[Fuzzed]:
    """Open a gateway's sessions for strangers."""
    finder = _Finder()
    async with (
        RedisStore.connect(redis_url) as store,
        open_sessions(store, finder, Limits()) as sessions,
    ):
        fuzzed = Fuzzed(sessions, finder)
        try:
            yield fuzzed
        finally:
            fuzzed.close()


__all__ = ["MUTATED_A_SESSION", "FailedError", "Fuzzed", "GatewayError", "fuzzed_gateway"]
