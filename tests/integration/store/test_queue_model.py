"""Two gateways queue, send, stop, close and die in one session: every message has its one fate."""

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
from msgspec.structs import replace

from midstream.ids import MessageId, RunId, SessionId
from midstream.store.calls import OpenStatus
from midstream.store.queue.calls import ChangeEntry, ChangeStatus, EnqueueStatus
from midstream.store.records import RunOutcome, RunState, SessionState
from midstream.store.redis.store import RedisStore
from midstream.store.server.settings import QueueSettings, StoreSettings

from .scenario import close, message, regenerate, submit
from .test_queue import entry

if TYPE_CHECKING:
    from collections.abc import Coroutine

_Answer = TypeVar("_Answer")

STEPS = 50
HOW_MANY = pytest.mark.parametrize(
    "examples", [20, pytest.param(200, marks=[pytest.mark.release, pytest.mark.timeout(1800)])]
)
MAX_ENTRIES = 32
GATEWAYS = st.sampled_from([0, 1])
OUTCOMES = st.sampled_from(
    [RunOutcome.FINISHED] * 4 + [RunOutcome.STOPPED, RunOutcome.FAILED, RunOutcome.INTERRUPTED]
)
PICKS = st.integers(0, 4)
AT_ONCE = StoreSettings(queue=QueueSettings(take_ms=0))
"""What was taken may be taken anew at once: the process that took it seems dead."""
_sessions = count()


class QueueOfTwoGateways(RuleBasedStateMachine):
    """A session's queue, and what was said to the people who sent to it."""

    url: str

    def __init__(self) -> None:
        super().__init__()
        self.session = SessionId(f"queue-{next(_sessions)}")
        self.names = count(1)
        self.accepted: list[str] = []
        """Entries, in the order in which they were accepted."""
        self.moved: set[str] = set()
        self.dropped: set[str] = set()
        self.taken: tuple[int, str] | None = None
        self.answered: dict[str, list[str]] = {}
        """Message -> the runs that were opened for it."""
        self.opened: list[str] = []
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.stores = [
            self.do(self.stack.enter_async_context(RedisStore.connect(self.url, settings=AT_ONCE)))
            for _ in range(2)
        ]
        self.send(0, "keep")

    def teardown(self) -> None:
        self.drain()
        self.do(self.stack.aclose())
        self.runner.close()

    def do(self, call: Coroutine[Any, Any, _Answer]) -> _Answer:
        return self.runner.run(call)

    def state(self) -> SessionState:
        state = self.do(self.stores[0].load(self.session, with_queue=True))
        assert state is not None
        return state

    def entries(self) -> list[str]:
        return [each.id for each in self.state().queue.entries]

    def active(self) -> bool:
        run = self.state().run
        return run is not None and run.state is not RunState.ENDED

    # -- what people do ---------------------------------------------------------------------

    @rule(at=GATEWAYS)
    def queue(self, at: int) -> None:
        name, is_full = f"q{next(self.names)}", len(self.entries()) == MAX_ENTRIES
        answer = self.do(self.stores[at].enqueue(replace(entry(name), session_id=self.session)))
        again = self.do(self.stores[1 - at].enqueue(replace(entry(name), session_id=self.session)))
        assert again.status is answer.status
        if answer.status is EnqueueStatus.QUEUED:
            self.accepted.append(name)
        elif is_full:
            assert answer.status is EnqueueStatus.FULL
        else:
            assert answer.status is EnqueueStatus.OPEN
            self._open(at, name, "resume")

    @rule(at=GATEWAYS, how=st.sampled_from(["resume", "clear"]))
    def send(self, at: int, how: str) -> None:
        """A send, or an edit, of a client that does not queue."""
        self._open(at, f"u{next(self.names)}", how)

    def _open(self, at: int, name: str, how: str, of: str | None = None) -> OpenStatus:
        state = self.do(self.stores[at].load(self.session))
        head = None if state is None else state.meta.head_message_id
        run = f"r{next(self.names)}"
        request = submit(name, run, parent=head, session=self.session)
        request = replace(
            request,
            queue_rule=how,
            entry=None if of is None else MessageId(of),
            expected_offset="0-0" if state is None else state.meta.position.offset,
        )
        opened = self.do(self.stores[at].open_run(request))
        again = self.do(self.stores[1 - at].open_run(request))
        if opened.status is OpenStatus.OPENED:
            assert again.status is OpenStatus.KNOWN
            self.answered.setdefault(name, []).append(run)
            self.opened.append(name)
        return opened.status

    @rule(at=GATEWAYS)
    def regenerate(self, at: int) -> None:
        state = self.state()
        asked = next((m.id for m in state.path if not m.id.startswith("a-")), None)
        if asked is not None:
            request = regenerate(asked, f"r{next(self.names)}")
            request = replace(request, session_id=self.session, queue_rule="clear")
            self.do(self.stores[at].open_run(request))

    @rule(at=GATEWAYS, by=st.sampled_from(["ada", "interrupt"]))
    def stop(self, at: int, by: str) -> None:
        self.do(
            self.stores[at].request_stop(
                self.session, run_id=None, message_id=None, by=by, tombstone_ms=0,
                pauses=by == "ada",
            )
        )  # fmt: skip

    @precondition(lambda self: self.accepted)
    @rule(at=GATEWAYS, pick=PICKS, other=PICKS, how=st.sampled_from(["edit", "move", "drop"]))
    def change(self, at: int, pick: int, other: int, how: Any) -> None:
        name = self.accepted[-1 - pick % len(self.accepted)]
        there = self.entries()
        before = there[other % len(there)] if there and other else None
        request = ChangeEntry(
            session_id=self.session,
            id=MessageId(name),
            how=how,
            before=None if before is None or before == name else MessageId(before),
            message=entry(name, "new words").message,
            content_hash="hello",
        )
        answer = self.do(self.stores[at].change_entry(request))
        if answer.status is ChangeStatus.CHANGED and how == "drop":
            self.dropped.add(name)
        if answer.status is ChangeStatus.CHANGED and how == "move":
            self.moved.update(self.accepted)
        if name in self.answered:
            assert answer.run_id is not None or name in self.dropped

    @precondition(lambda self: self.accepted)
    @rule(at=GATEWAYS, pick=PICKS)
    def send_now(self, at: int, pick: int) -> None:
        name = self.accepted[-1 - pick % len(self.accepted)]
        answer = self.do(self.stores[at].change_queue(self.session, "now", MessageId(name)))
        if answer.status is ChangeStatus.CHANGED:
            self.moved.update(self.accepted)

    @rule(at=GATEWAYS)
    def resume(self, at: int) -> None:
        self.do(self.stores[at].change_queue(self.session, "resume"))

    # -- what gateways do -------------------------------------------------------------------

    @rule(at=GATEWAYS, outcome=OUTCOMES, dies=st.booleans())
    def close(self, at: int, outcome: RunOutcome, dies: bool) -> None:
        """End the run; the process may die before it opens the next entry's."""
        run = self.state().run
        if run is None or run.state is RunState.ENDED:
            return
        request = close(
            0, run=run.id, outcome=outcome, session=self.session,
            answer=message(f"a-{run.id}", run.user_message_id),
        )  # fmt: skip
        closed = self.do(self.stores[at].close_run(request))
        again = self.do(self.stores[1 - at].close_run(request))
        assert again.next_entry == closed.next_entry
        if closed.next_entry is not None and not dies:
            self.taken = at, closed.next_entry

    @rule()
    def open_taken(self) -> None:
        """The process that has taken an entry opens its run, maybe late."""
        if self.taken is not None:
            (at, name), self.taken = self.taken, None
            self._open(at, name, "keep", of=name)

    @rule(at=GATEWAYS)
    def look(self, at: int) -> None:
        """A reaper finds the session by its hint."""
        found = self.do(self.stores[at].take_entry(self.session))
        if found is not None:
            assert found.id == self.entries()[0]
            self.taken = at, found.id

    def drain(self) -> None:
        """Let all that is queued be answered, as gateways that live do."""
        for _ in range(200):
            if self.active():
                self.close(0, RunOutcome.FINISHED, False)
            elif not self.entries():
                return
            else:
                self.resume(0)
                self.look(1)
            self.open_taken()
        raise AssertionError("the queue does not end")

    # -- what holds -------------------------------------------------------------------------

    @invariant()
    def each_message_has_one_fate(self) -> None:
        state = self.state()
        queued = [each.id for each in state.queue.entries]
        unsent = [each.id for each in state.queue.unsent]
        for name in self.accepted:
            fates = [
                name in queued,
                name in unsent,
                name in self.answered,
                name in self.dropped and name not in self.answered,
            ]
            assert fates.count(True) == 1, (name, fates)
        assert all(len(runs) == 1 for runs in self.answered.values())

    @invariant()
    def entries_that_nobody_moved_are_answered_in_their_order(self) -> None:
        answered = [name for name in self.opened if name in self.accepted]
        assert [n for n in answered if n not in self.moved] == [
            n for n in self.accepted if n in answered and n not in self.moved
        ]

    @invariant()
    def path_has_each_answered_message_once(self) -> None:
        state = self.state()
        runs = {RunId(run) for runs in self.answered.values() for run in runs}
        assert state.run is None or state.run.id in runs or state.run.trigger != "submit-message"


@HOW_MANY
def test_queue_is_what_its_contract_says_whatever_two_gateways_do(
    redis_url: str, examples: int
) -> None:
    """Each entry gets exactly one run, in order, or its sender has it back; at the end all do."""

    class OverThisRedis(QueueOfTwoGateways):
        url = redis_url

    run_state_machine_as_test(
        OverThisRedis,
        settings=settings(
            max_examples=examples,
            stateful_step_count=STEPS,
            suppress_health_check=list(HealthCheck),
        ),
    )
