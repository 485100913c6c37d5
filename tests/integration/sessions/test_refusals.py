"""A Redis that refuses is one that is away: every task of a gateway waits, and goes on."""

from __future__ import annotations

import asyncio
import functools
import logging
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest
from msgspec import structs
from redis._parsers.base import BaseParser

from midstream.errors import StoreUnavailableError
from midstream.ids import SessionId
from midstream.protocol.chunks import FinishStepChunk, TextEndChunk
from midstream.sessions import open_sessions
from midstream.sessions.log import hub
from midstream.store.redis.store import RedisStore
from tests.integration.store.scenario import client_of
from tests.support.played import ALICE, FAST, Reading, Script, send, types, user_message
from tests.support.processes import eventually
from tests.support.refusals import REFUSALS, RefusingRedis

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from midstream.sessions import Limits
    from midstream.sessions.service import Sessions

pytestmark = pytest.mark.anyio

HELLO = user_message("u1", "hello")
TASKS: Final = frozenset({"committer", "lease renewal", "reaper", "presence", "run"})
"""Tasks that write. The hub's tasks only read, so only a refusal of reads meets them."""

PLAYED: Final = (
    "CLUSTERDOWN Hash slot not served",
    "TRYAGAIN Multiple keys request during rehashing of slot",
    "MOVED 7 127.0.0.1:1",
    "ASK 7 127.0.0.1:1",
    "WRONGPASS invalid username-password pair or user is disabled.",
    "DENIED Redis is running in protected mode",
    "ERR Script attempted to access a non local key in a cluster node",
    "UNHEARDOF something new",
)
"""Refusals of a cluster, or of a later server, are played."""

DUE: Final = {f"gone-{number}": 1 for number in range(2_000)}
"""Hints of trims, so many that a reaper has some left to remove when the refusal begins."""

ENDS_PARTS: Final = TextEndChunk(id="t"), FinishStepChunk()

CLOSED: Final = RuntimeError(
    "unable to perform operation on <TCPTransport closed=True>; the handler is closed"
)


class Gateway:
    """One process's sessions, which note what their tasks meet."""

    def __init__(self, store: RedisStore, sessions: Sessions) -> None:
        self.store = store
        self.sessions = sessions
        self.met: set[str] = set()
        self.plays: Callable[[], Exception] | None = None
        self._send = client_of(store)._send
        self._call = client_of(store).call
        client_of(store).call = self._calling  # type: ignore[method-assign, assignment]
        self._run_all = client_of(store).run_all
        client_of(store)._send = self._sending  # type: ignore[method-assign]
        client_of(store).run_all = self._running  # type: ignore[method-assign]
        self._run_each = client_of(store).run_each
        client_of(store).run_each = self._running_each  # type: ignore[method-assign]
        sessions.presence._repeat_s = 0.2

    async def _sending(self, commands: Sequence[Any]) -> list[Any]:
        if self.plays is None:
            return await self._send(commands)
        error = self.plays()
        if isinstance(error, RuntimeError):
            raise error
        return [error for _ in commands]

    def _calling(self, *call: Any) -> bool:
        return self.plays is None and self._call(*call)

    async def _running(self, commands: Sequence[Any]) -> list[Any]:
        try:
            return await self._run_all(commands)
        except Exception as error:
            self._meets(error)
            raise

    async def _running_each(self, commands: Sequence[Any]) -> list[Any]:
        try:
            replies = await self._run_each(commands)
        except Exception as error:
            self._meets(error)
            raise
        for reply in replies:
            if isinstance(reply, Exception):
                self._meets(reply)
        return replies

    def _meets(self, error: Exception) -> None:
        task = asyncio.current_task()
        assert isinstance(error, StoreUnavailableError), error
        assert task is not None
        name = task.get_name()
        self.met.add("run" if name.startswith("run ") else name)

    async def all_meet_it(self, tasks: frozenset[str]) -> None:
        """Wait until every one of these tasks was refused."""
        try:
            await eventually(lambda: self.met >= tasks, "all meet it")
        except AssertionError:
            raise AssertionError(f"not met by {sorted(tasks - self.met)}") from None

    @contextmanager
    def playing(self, error: Callable[[], Exception]) -> Iterator[None]:
        """Have every command answered, or cut off, by an error."""
        self.plays = error
        yield
        self.plays = None


PATIENT = structs.replace(FAST, readers=structs.replace(FAST.readers, outage_limit_s=60))
"""Readers wait for as long as it takes every task to meet a refusal."""


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RefusingRedis]:
    """A server of the test's own."""
    redis = RefusingRedis(tmp_path)
    redis.start()
    yield redis
    redis.end()


@asynccontextmanager
async def opened(url: str, script: Script, limits: Limits = PATIENT) -> AsyncIterator[Gateway]:
    """Open a gateway's sessions."""
    async with (
        RedisStore.connect(url) as store,
        open_sessions(store, script, limits) as sessions,
    ):
        yield Gateway(store, sessions)


def own_tasks() -> set[str]:
    """Return the names of the gateways' lasting tasks that live."""
    passing = ("run ", "agent ", "catch-up ", "queue turn ", "channel watch", "Task-")
    names = {task.get_name() for task in asyncio.all_tasks() if not task.done()}
    return {name for name in names - {"lease renewal"} if not name.startswith(passing)}


async def begun(gateway: Gateway, script: Script, session: str) -> tuple[Reading, Any]:
    """Begin a run, and let it say a word."""
    reading = Reading(await gateway.sessions.start(ALICE, send(session, HELLO)))
    run = await script.next()
    run.open()
    run.tell("before ")
    await reading.until(lambda r: r.text == "before ")
    return reading, run


async def lives_through(
    refusing: AbstractContextManager[None],
    here: Gateway,
    script: Script,
    server: RefusingRedis,
    name: str,
) -> None:
    """Let Redis refuse until every task has met it; then see everything go on."""
    session = SessionId(f"chat-{name.replace(' ', '-')}")
    speaking, speaker = await begun(here, script, session)
    ending, ended = await begun(here, script, f"{session}-ending")
    ended.say(*ENDS_PARTS)
    await ending.until(lambda r: types(r.chunks)[-1] == "finish-step")
    tasks = own_tasks()
    async with here.sessions.presence.open(session, ALICE.user):
        server.client.zadd("ms:trim", DUE)
        here.met.clear()
        with refusing:
            speaker.tell("during ")
            ended.finish()
            # A full Redis lets a reaper remove what is due.
            await here.all_meet_it(TASKS - {"reaper"} if name == "OOM" else TASKS)
            with pytest.raises(StoreUnavailableError):
                await here.sessions.start(ALICE, send(f"{session}-new", HELLO))
            with pytest.raises(StoreUnavailableError):
                await here.store.probe()
        speaker.tell("after")
        speaker.end()
        assert types(await ending.end())[-1] == "finish"
        assert types(await speaking.end())[-1] == "finish"
        assert speaking.text == "before during after"
    await eventually(lambda: own_tasks() == tasks, "the same tasks live")
    snapshot = await here.sessions.snapshot(ALICE, session)
    assert b"before during after" in bytes(snapshot.messages[-1])


async def test_no_refusal_of_redis_ends_a_task_or_costs_a_token(
    server: RefusingRedis,
    script: Script,
    caplog: pytest.LogCaptureFixture,
    subtests: pytest.Subtests,
) -> None:
    """A real server refuses in each way that it can.

    Runs, their ends, leases and orphans wait, sends get a temporary error, and no gateway takes
    over a run that another cannot renew.
    """
    async with opened(server.url, script) as here, opened(server.url, script):
        for word, refuse in REFUSALS.items():
            with subtests.test(word), caplog.at_level(logging.ERROR):
                caplog.clear()
                await lives_through(refuse(server), here, script, server, word)
                assert caplog.messages == []


async def test_no_answer_of_a_cluster_or_a_lost_connection_ends_a_task(
    server: RefusingRedis,
    script: Script,
    caplog: pytest.LogCaptureFixture,
    subtests: pytest.Subtests,
) -> None:
    """Refusals that a single server cannot be made to send are played."""
    said: dict[str, Callable[[], Exception]] = {
        line: functools.partial(BaseParser.parse_error, line) for line in PLAYED
    }
    said["closed"] = lambda: CLOSED
    async with opened(server.url, script) as here:
        for number, (line, error) in enumerate(said.items()):
            with subtests.test(line), caplog.at_level(logging.ERROR):
                caplog.clear()
                await lives_through(here.playing(error), here, script, server, f"played-{number}")
                assert caplog.messages == []


async def test_readers_of_an_open_run_are_told_when_redis_takes_no_writes_for_long(
    server: RefusingRedis, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can be read all the while: without a write, nothing would tell that nothing moves on."""
    monkeypatch.setattr(hub, "AUDIT_INTERVAL_S", 0.2)
    async with opened(server.url, script, FAST) as here, opened(server.url, script, FAST) as there:
        reading, run = await begun(here, script, "chat-1")
        reader = await there.sessions.resume(ALICE, SessionId("chat-1"))
        assert reader is not None
        elsewhere = Reading(reader)
        with REFUSALS["NOREPLICAS"](server):
            chunks = await elsewhere.end()
        assert types(chunks)[-2:] == ["error", "finish"]
        run.end()
        assert types(await reading.task)[-1] == "finish"
