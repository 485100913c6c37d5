"""Two gateways in one session, in any order of calls: its state follows the contract."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from msgspec.structs import replace

from midstream.ids import MessageId, RunId, SessionId
from midstream.store.calls import AppendBatch, Appended, AppendStatus, OpenStatus, StopStatus
from midstream.store.keys import Keys
from midstream.store.records import ChunksRecord, RunOutcome, RunState
from midstream.store.redis.store import RedisStore

from .scenario import EXPIRED, HOUR_MS, append_by_call, batch, close, key, message, now_ms, submit
from .session_model import ModelRun, ModelSession

if TYPE_CHECKING:
    from collections.abc import Coroutine

_Answer = TypeVar("_Answer")

STEPS = 40
HOW_MANY = pytest.mark.parametrize(
    "examples", [20, pytest.param(200, marks=[pytest.mark.release, pytest.mark.timeout(1800)])]
)
GATEWAYS = st.sampled_from([0, 1])
TIMES = st.sampled_from([EXPIRED, HOUR_MS])
OFF_BY = st.sampled_from([0, 0, 0, 0, -1, 1])
CLAIMANTS = st.sampled_from(["ann", "bob"])
OUTCOMES = st.sampled_from([RunOutcome.FINISHED, RunOutcome.STOPPED])
KEYS = {"meta", "log", "runs", "side", "msg", "req", "stop"}
PICKS = st.sampled_from([0, 0, 0, 0, 0, 1, 1, 2, 3, 5, 8])
_sessions = count()


class TwoGateways(RuleBasedStateMachine):
    """A session by its model, and as two stores see it."""

    url: str

    def __init__(self) -> None:
        super().__init__()
        self.session = SessionId(f"chat-{next(_sessions)}")
        self.model = ModelSession()
        self.names = count(1)
        self.redis = redis.Redis.from_url(self.url, decode_responses=True)
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.stores = [
            self.do(self.stack.enter_async_context(RedisStore.connect(self.url))) for _ in range(2)
        ]

    def teardown(self) -> None:
        self.do(self.stack.aclose())
        self.runner.close()
        self.redis.close()

    def do(self, call: Coroutine[Any, Any, _Answer]) -> _Answer:
        return self.runner.run(call)

    async def appended(self, at: int, sent: AppendBatch) -> Appended:
        store = self.stores[at]
        return (await (append_by_call(store, [sent]) if at else store.append([sent])))[0]

    def some(self, pick: int) -> ModelRun:
        runs = list(self.model.runs.values())
        return runs[-1 - pick % len(runs)]

    def key(self, run: ModelRun, fence: int) -> Any:
        return key(run.id, fence, self.session)

    @rule(at=GATEWAYS, side=st.booleans(), waits=st.booleans(), lasts=TIMES)
    def open(self, at: int, side: bool, waits: bool, lasts: int) -> None:
        name = next(self.names)
        run, asked = f"r{name}", self.model.head if side else f"u{name}"
        request = submit(
            asked or "none", run, parent=self.model.head, session=self.session,
            request_key=f"k{name}",
        )  # fmt: skip
        request = replace(
            request,
            run=replace(request.run, side=side),
            user_message=None if side else request.user_message,
            lease_ms=lasts,
            wait_ms=lasts if waits else None,
        )
        due = lasts == EXPIRED
        expected = self.model.open(run, asked or "", side=side, waits=waits, due=due)
        opened = self.do(self.stores[at].open_run(request))
        assert opened.status is expected
        if expected is OpenStatus.OPENED:
            again = self.do(self.stores[1 - at].open_run(request))
            assert again.status is (OpenStatus.ORPHAN if due else OpenStatus.KNOWN)
            assert (again.run, again.fence) == (opened.run, 1)

    @precondition(lambda self: self.model.runs)
    @rule(at=GATEWAYS, pick=PICKS, fence=OFF_BY, first=OFF_BY, size=st.integers(1, 3))
    def append(self, at: int, pick: int, fence: int, first: int, size: int) -> None:
        """One gateway appends by call, the other by a task."""
        run = self.some(pick)
        begin = max(run.next + first, 0)
        sent = batch(begin, size, run=run.id, fence=run.fence + fence, session=self.session)
        expected = self.model.append(run, run.fence + fence, begin, size)
        assert self.do(self.appended(at, sent)).status is expected
        if expected is AppendStatus.APPENDED:
            again = self.do(self.appended(1 - at, sent))
            assert (again.status, again.next) == (AppendStatus.DUPLICATE, run.next)

    @precondition(lambda self: self.model.runs)
    @rule(at=GATEWAYS, pick=PICKS, fence=OFF_BY, first=OFF_BY, outcome=OUTCOMES)
    def close(self, at: int, pick: int, fence: int, first: int, outcome: RunOutcome) -> None:
        """Trim all that may be: of the runs under way, nothing is."""
        run = self.some(pick)
        begin, answer = max(run.next + first, 0), f"a-{run.id}"
        parent = "u1"
        request = close(
            begin, run=run.id, fence=run.fence + fence, outcome=outcome, session=self.session,
            answer=message(answer, parent), trim_before_ms=now_ms() + HOUR_MS,
        )  # fmt: skip
        expected = self.model.close(run, run.fence + fence, begin, outcome, answer)
        for asked, status in (
            (at, expected),
            (1 - at, AppendStatus.DUPLICATE if expected is AppendStatus.APPENDED else expected),
        ):
            assert self.do(self.stores[asked].close_run(request)).status is status

    @precondition(lambda self: self.model.runs)
    @rule(at=GATEWAYS, pick=PICKS, force=st.booleans(), lasts=TIMES)
    def take_over(self, at: int, pick: int, force: bool, lasts: int) -> None:
        run = self.some(pick)
        stopped = run.stopped
        fence = self.model.take_over(run, force=force, due=lasts == EXPIRED)
        taken = self.do(self.stores[at].take_over(self.session, RunId(run.id), lasts, force=force))
        assert (taken.key.fence if taken else None) == fence
        if taken is not None:
            assert (taken.next, taken.stopped_by is not None) == (run.next, stopped)
            assert taken.run.state is run.state

    @precondition(lambda self: self.model.runs)
    @rule(at=GATEWAYS, pick=PICKS, fence=OFF_BY, lasts=TIMES)
    def renew(self, at: int, pick: int, fence: int, lasts: int) -> None:
        run = self.some(pick)
        held = self.model.renew(run, run.fence + fence, due=lasts == EXPIRED)
        (renewed,) = self.do(self.stores[at].renew([self.key(run, run.fence + fence)], lasts))
        assert renewed.held == held

    @precondition(lambda self: self.model.runs)
    @rule(at=GATEWAYS, pick=PICKS, fence=OFF_BY, lasts=TIMES)
    def wait(self, at: int, pick: int, fence: int, lasts: int) -> None:
        run = self.some(pick)
        asked = self.key(run, run.fence + fence)
        expected = self.model.wait(run, asked.fence, due=lasts == EXPIRED)
        for gateway in (at, 1 - at):
            assert self.do(self.stores[gateway].wait(asked, lasts)) is expected

    @precondition(lambda self: self.model.runs)
    @rule(at=GATEWAYS, pick=PICKS, claimant=CLAIMANTS, lasts=TIMES)
    def claim(self, at: int, pick: int, claimant: str, lasts: int) -> None:
        run = self.some(pick)
        fence = self.model.claim(run, claimant, due=lasts == EXPIRED)
        for gateway in (at, 1 - at):
            taken = self.do(
                self.stores[gateway].claim(self.session, RunId(run.id), claimant, lasts)
            )
            assert (taken.key.fence if taken else None) == fence

    @precondition(lambda self: self.model.runs)
    @rule(at=GATEWAYS, pick=PICKS, named=st.sampled_from(["run", "message", "none"]))
    def stop(self, at: int, pick: int, named: str) -> None:
        """By a run, by the message that it writes if it is under way, or all."""
        run = self.some(pick)
        if named == "message" and run.ended:
            return
        for gateway in (at, 1 - at):
            expected = self.model.stop(None if named == "none" else run)
            answer = self.do(
                self.stores[gateway].request_stop(
                    self.session,
                    run_id=RunId(run.id) if named == "run" else None,
                    message_id=MessageId(f"a-{run.id}") if named == "message" else None,
                    by="ada",
                    tombstone_ms=HOUR_MS,
                )
            )
            told = [(each.status, each.run_id or "") for each in (answer, *answer.beside)]
            assert told == (expected or [(StopStatus.NOTHING, "")])

    @invariant()
    def both_gateways_see_what_it_must_be(self) -> None:
        main, beside = self.model.main, self.model.beside
        for store in self.stores:
            state = self.do(store.load(self.session))
            if state is None:
                assert main is None
                return
            assert main is not None
            assert state.run is not None
            self.is_as(main, state.run)
            assert (state.run_next, state.run_expired) == (main.next, main.due and not main.ended)
            assert state.meta.head_message_id == self.model.head
            assert [m.side for m in state.path] == [False] * len(state.path)
            assert [found.run.id for found in state.beside] == [run.id for run in beside]
            for run, found in zip(beside, state.beside, strict=True):
                self.is_as(run, found.run)
                assert (found.next, found.expired) == (run.next, run.due)
            assert state.meta.format == (3 if self.model.raised else 1)
            off_path = {name for name, m in state.off_path.items() if m.side}
            assert off_path == {
                f"a-{run.id}" for run in self.model.runs.values() if run.side and run.ended
            }

    @invariant()
    def nothing_of_a_run_under_way_is_lost(self) -> None:
        """Its chunks are in the log, each once, in order."""
        for run in self.model.open_runs:
            found = self.do(self.stores[0].load_run(self.session, RunId(run.id)))
            assert found is not None
            entries = self.do(self.stores[1].read_run(self.session, found.opened, count=10_000))
            assert entries[0].offset == found.opened
            chunks = [
                record.first + i
                for record in (entry.record for entry in entries)
                if isinstance(record, ChunksRecord) and record.run_id == run.id
                for i in range(record.count)
            ]
            assert chunks == list(range(run.next))

    @invariant()
    def live_fields_are_of_runs_under_way(self) -> None:
        """In `side`, and no key is named by a run."""
        side = Keys().session(self.session).side
        fields = {str(name).partition("|")[0] for name in self.redis.hkeys(side)}
        assert fields == {run.id for run in self.model.beside}
        names = [str(name) for name in self.redis.keys(f"ms:{{{self.session}}}:*")]
        assert {name.rpartition(":")[2] for name in names} <= KEYS
        assert all(self.redis.ttl(name) > 0 for name in names)

    def is_as(self, run: ModelRun, found: Any) -> None:
        assert (found.id, found.state, found.side) == (run.id, run.state, run.side)
        assert (found.outcome, found.stopped_by is not None) == (run.outcome, run.stopped)
        assert (found.ended_at_ms is not None) == (run.state is RunState.ENDED)


@HOW_MANY
def test_session_of_several_runs_is_what_the_contract_says_whatever_two_gateways_do(
    redis_url: str, examples: int
) -> None:
    """Open main and side runs, append, close, take over, renew, stop, wait and claim, each by
    either, and again by the other, with keys and positions that may be wrong."""

    class OverThisRedis(TwoGateways):
        url = redis_url

    run_state_machine_as_test(
        OverThisRedis,
        settings=settings(
            max_examples=examples,
            stateful_step_count=STEPS,
            suppress_health_check=list(HealthCheck),
        ),
    )
