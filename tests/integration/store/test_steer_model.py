"""Two gateways steer, take up, stop, close and die in one session: each message has one fate."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from msgspec import Raw
from msgspec.structs import replace

from midstream.ids import NO_TENANT, MessageId, RunId, SessionId
from midstream.store.calls import OpenStatus, RunKey
from midstream.store.queue.calls import EnqueueStatus, Steer, SteerOutcome, SteerStatus
from midstream.store.records import RunOutcome, RunState, SessionState
from midstream.store.redis.store import RedisStore
from midstream.store.server.settings import QueueSettings, StoreSettings

from .scenario import OWNER, close, message, submit
from .test_queue import entry

if TYPE_CHECKING:
    from collections.abc import Coroutine

_Answer = TypeVar("_Answer")

STEPS = 50
HOW_MANY = pytest.mark.parametrize(
    "examples", [20, pytest.param(200, marks=[pytest.mark.release, pytest.mark.timeout(1800)])]
)
GATEWAYS = st.sampled_from([0, 1])
PICKS = st.integers(0, 4)
OUTCOMES = st.sampled_from(
    [RunOutcome.FINISHED] * 4 + [RunOutcome.STOPPED, RunOutcome.FAILED, RunOutcome.INTERRUPTED]
)
WRITERS = st.sampled_from(["agent", "agent", "reader", "deaf"])
"""Who writes a run: an agent of a gateway, or a worker that reads messages, or does not."""
AT_ONCE = StoreSettings(queue=QueueSettings(take_ms=0))
_sessions = count()


def steer_of(name: str, session: SessionId, **changes: Any) -> Steer:
    made = Steer(
        session_id=session,
        expected_owner=OWNER,
        expected_tenant=NO_TENANT,
        id=MessageId(name),
        message=Raw(b'{"id":"%b"}' % name.encode()),
        content_hash="hello",
        by=b'{"id":"ada"}',
        facts=b"{}",
        sender=b'"ada"',
        may_any=True,
    )
    return replace(made, **changes)


class SteersOfTwoGateways(RuleBasedStateMachine):
    """A session's steers, and what was said to the people who sent them."""

    url: str

    def __init__(self) -> None:
        super().__init__()
        self.session = SessionId(f"steers-{next(_sessions)}")
        self.names = count(1)
        self.accepted: dict[str, SteerOutcome | None] = {}
        """Each steer's outcome, as far as its sender was told."""
        self.key: RunKey | None = None
        """Of the run under way."""
        self.writer = "agent"
        self.taken: list[str] = []
        """Given to the producer for its next step, and not yet in the log."""
        self.shown: list[str] = []
        """In the run's message, as the log has it."""
        self.told: dict[str, str] = {}
        """Steer -> the run whose final message has it."""
        self.answered: dict[str, str] = {}
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.stores = [
            self.do(self.stack.enter_async_context(RedisStore.connect(self.url, settings=AT_ONCE)))
            for _ in range(2)
        ]
        self.send(0, "agent")

    def teardown(self) -> None:
        self.close(0, RunOutcome.FINISHED)
        self.each_message_has_one_fate()
        assert not self.state().steers
        self.do(self.stack.aclose())
        self.runner.close()

    def do(self, call: Coroutine[Any, Any, _Answer]) -> _Answer:
        return self.runner.run(call)

    def state(self) -> SessionState:
        state = self.do(self.stores[0].load(self.session, with_queue=True))
        assert state is not None
        return state

    # -- what people do ---------------------------------------------------------------------

    @rule(at=GATEWAYS, writer=WRITERS)
    def send(self, at: int, writer: str) -> None:
        if self.key is None:
            self._open(at, f"u{next(self.names)}", None, writer)

    def _open(self, at: int, name: str, entry: str | None, writer: str = "agent") -> None:
        run = f"r{next(self.names)}"
        state = self.do(self.stores[at].load(self.session))
        request = submit(
            name, run, session=self.session,
            parent=None if state is None else state.meta.head_message_id,
        )  # fmt: skip
        request = replace(
            request, queue_rule="keep", entry=None if entry is None else MessageId(entry)
        )
        opened = self.do(self.stores[at].open_run(request))
        if opened.status is OpenStatus.OPENED:
            self.key = RunKey(session_id=self.session, run_id=RunId(run), fence=opened.fence)
            self._claimed(at, writer)
            if entry is not None:
                self.answered[entry] = run

    def _claimed(self, at: int, writer: str) -> None:
        """Who writes the run is known; what a worker that reads nothing was given comes back."""
        assert self.key is not None
        self.writer = writer
        if writer != "agent":
            waiting = [each.id for each in self.state().steers if each.id in self.shown]
            self.do(self.stores[at].confirm_steers(self.key, waiting))
            self.do(self.stores[at].note_reader(self.key, reads=writer == "reader"))

    @rule(at=GATEWAYS, back=st.booleans(), knows=st.sampled_from([None, "of-before"]))
    def steer(self, at: int, back: bool, knows: str | None) -> None:
        name = f"s{next(self.names)}"
        request = steer_of(
            name,
            self.session,
            wants_back=back,
            is_supported=self.writer == "agent",
            run_id=None if knows is None else RunId(knows),
        )
        answer = self.do(self.stores[at].steer(request))
        again = self.do(self.stores[1 - at].steer(request))
        assert (again.status, again.outcome) == (answer.status, answer.outcome)
        if answer.status is SteerStatus.PENDING:
            queued = replace(entry(name), session_id=self.session)
            assert self.do(self.stores[at].enqueue(queued)).status is EnqueueStatus.CONFLICT
        if answer.status is SteerStatus.FULL:
            return
        assert answer.status in (SteerStatus.PENDING, SteerStatus.DECIDED)
        assert (answer.status is SteerStatus.PENDING) == (answer.outcome is None)
        assert self.writer != "deaf" or answer.status is SteerStatus.DECIDED
        if not (back and answer.outcome is not None):  # else its sender has it
            self.accepted[name] = answer.outcome

    @rule(at=GATEWAYS)
    def stop(self, at: int) -> None:
        self.do(
            self.stores[at].request_stop(
                self.session, run_id=None, message_id=None, by="ada", tombstone_ms=0
            )
        )

    @precondition(lambda self: self.state().queue.entries)
    @rule(at=GATEWAYS)
    def give_entry(self, at: int) -> None:
        """A person gives a queued message to the running answer."""
        name = self.state().queue.entries[-1].id
        answer = self.do(
            self.stores[at].steer_entry(
                self.session, name, run_id=None, sender=b"", may_any=True,
                is_supported=self.writer == "agent",
            )
        )  # fmt: skip
        if answer.status is SteerStatus.PENDING:
            self.accepted[name] = None

    @rule(at=GATEWAYS)
    def resume(self, at: int) -> None:
        self.do(self.stores[at].change_queue(self.session, "resume"))

    # -- what gateways do -------------------------------------------------------------------

    @precondition(lambda self: self.key is not None)
    @rule(at=GATEWAYS, step=st.integers(0, 3))
    def take(self, at: int, step: int) -> None:
        assert self.key is not None
        given = self.do(self.stores[at].take_steers(self.key, step))
        self.taken = [each.id for each in given if each.id not in self.shown]

    @precondition(lambda self: self.taken)
    @rule(at=GATEWAYS, confirms=st.booleans())
    def show(self, at: int, confirms: bool) -> None:
        """The log has what was taken; the process may die before it says so."""
        assert self.key is not None
        ids, self.taken = [MessageId(name) for name in self.taken], []
        self.shown += ids
        if confirms:
            self.do(self.stores[at].confirm_steers(self.key, ids))

    @precondition(lambda self: self.taken)
    @rule(at=GATEWAYS, pick=PICKS)
    def refuse(self, at: int, pick: int) -> None:
        """The producer gives one back that it was given, while its run goes on."""
        assert self.key is not None
        name = self.taken.pop(pick % len(self.taken))
        stale = replace(self.key, fence=self.key.fence + 1)
        for key in (stale, self.key, self.key):
            self.do(self.stores[at].refuse_steer(key, MessageId(name), "unsupported"))

    @precondition(lambda self: self.key is not None)
    @rule(at=GATEWAYS, reads=st.booleans())
    def die(self, at: int, reads: bool) -> None:
        """Another process takes the run over; what was taken and is not in the log is forgotten."""
        assert self.key is not None
        taken = self.do(
            self.stores[at].take_over(self.session, self.key.run_id, lease_ms=60_000, force=True)
        )
        assert taken is not None
        stale, self.key, self.taken = self.key, taken.key, []
        assert not self.do(self.stores[1 - at].take_steers(stale, 1))
        if self.writer != "agent":
            self._claimed(at, "reader" if reads else "deaf")

    @rule(at=GATEWAYS, outcome=OUTCOMES)
    def close(self, at: int, outcome: RunOutcome) -> None:
        if self.key is None:
            return
        run = self.state().run
        assert run is not None
        parts = b",".join(
            b'{"type":"steering-message","id":"%b","parts":[]}' % name.encode()
            for name in self.shown
        )
        answer = message(f"a-{run.id}", run.user_message_id)
        answer = replace(answer, message=Raw(b'{"id":"a","parts":[%b]}' % parts))
        request = close(
            0, run=run.id, outcome=outcome, session=self.session, answer=answer,
            fence=self.key.fence,
        )  # fmt: skip
        closed = self.do(self.stores[at].close_run(request))
        self.told |= dict.fromkeys(self.shown, run.id)
        self.key, self.taken, self.shown = None, [], []
        if closed.next_entry is not None:
            self._open(at, closed.next_entry, closed.next_entry)

    @rule(at=GATEWAYS)
    def look(self, at: int) -> None:
        found = self.do(self.stores[at].take_entry(self.session))
        if found is not None and self.key is None:
            self._open(at, found.id, found.id)

    # -- what holds -------------------------------------------------------------------------

    @invariant()
    def each_message_has_one_fate(self) -> None:
        state = self.state()
        waiting = [each.id for each in state.steers]
        queued = [each.id for each in state.queue.entries]
        unsent = [each.id for each in state.queue.unsent]
        for name, said in self.accepted.items():
            delivered = name in self.told or (name in self.shown and name not in waiting)
            fates = [
                name in waiting,
                name in queued,
                name in unsent,
                name in self.answered,
                delivered,
            ]
            assert fates.count(True) == 1, (name, fates)
            now = self.do(self.stores[0].steer(steer_of(name, self.session)))
            assert (now.status is SteerStatus.PENDING) == (name in waiting)
            if now.outcome is not None:
                assert (now.outcome.step is not None) == delivered
            assert said is None or now.outcome == said

    @invariant()
    def idle_session_keeps_nobody_waiting(self) -> None:
        state = self.state()
        if state.run is None or state.run.state is RunState.ENDED:
            assert not state.steers


@HOW_MANY
def test_steer_is_what_its_contract_says_whatever_two_gateways_do(
    redis_url: str, examples: int
) -> None:
    """Each message is in one run's answer, or back with its sender; never lost, never twice."""

    class OverThisRedis(SteersOfTwoGateways):
        url = redis_url

    run_state_machine_as_test(
        OverThisRedis,
        settings=settings(
            max_examples=examples,
            stateful_step_count=STEPS,
            suppress_health_check=list(HealthCheck),
        ),
    )
