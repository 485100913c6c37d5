"""A run's lane over a log that loses what it has acknowledged, as at a failover."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstream.ids import RunId, SessionId
from midstream.protocol.chunks import AnyChunk, TextDeltaChunk
from midstream.protocol.codec import decode_lines, encode_lines
from midstream.protocol.deltas import joined
from midstream.sessions.runs.committer import Committer, recover
from midstream.sessions.runs.lane import RETAIN_S, Lane
from midstream.store.calls import AppendBatch, Appended, AppendStatus, RunKey
from tests.unit.gateway.sessions.runs.test_committer import Owner

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midstream.store.contract import SessionStore

SAID = st.builds(
    TextDeltaChunk,
    id=st.sampled_from("tu"),
    delta=st.text(st.characters(codec="utf-8"), max_size=3),
)
PUTS = st.lists(SAID, min_size=1, max_size=6)
TURNS = st.lists(st.tuples(st.lists(PUTS, max_size=4), st.booleans(), st.integers(0, 5)))
"""What is put before a flush; whether its first answer is lost; how many chunks the log loses."""


class ForgetfulLog:
    """Answers as the script does that appends."""

    def __init__(self) -> None:
        self.chunks: list[AnyChunk] = []

    def append(self, batch: AppendBatch) -> Appended:
        record, after = batch.chunks, len(self.chunks)
        if record.first + record.count <= after:
            return Appended(status=AppendStatus.DUPLICATE, next=after)
        if record.first != after:
            return Appended(status=AppendStatus.GAP, next=after)
        self.chunks += decode_lines(record.payload)
        assert len(self.chunks) == after + record.count
        return Appended(status=AppendStatus.APPENDED, next=len(self.chunks))

    def lose(self, count: int) -> None:
        del self.chunks[len(self.chunks) - min(count, len(self.chunks)) :]


class ForgetfulStore:
    """A store over such a log, which is asked by a task alone."""

    def __init__(self, log: ForgetfulLog) -> None:
        self._log = log

    def append_by_call(self, *_: object) -> bool:
        return False

    async def append(self, batches: Sequence[AppendBatch]) -> list[Appended]:
        return [self._log.append(batch) for batch in batches]


@pytest.mark.parametrize(("kept_s", "recovered"), [(RETAIN_S, True), (-1.0, False)])
def test_run_that_has_ended_is_whole_again_before_its_terminal(
    kept_s: float, recovered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As far as its producer holds what the log has lost."""
    monkeypatch.setattr("midstream.sessions.runs.lane.RETAIN_S", kept_s)
    monkeypatch.setattr("midstream.sessions.runs.lane.JOIN_BYTES", 0)

    async def scenario() -> None:
        owner, log = Owner(), ForgetfulLog()
        committer = Committer(cast("SessionStore", ForgetfulStore(log)))
        lane = Lane(RunKey(session_id=SessionId("s"), run_id=RunId("r"), fence=1), owner)
        async with asyncio.TaskGroup() as tasks:
            flushing = tasks.create_task(committer.run())
            for number in range(5):
                chunks = [TextDeltaChunk(id=str(number), delta="x")]
                lane.put(encode_lines(chunks), chunks, 5)
                committer.notify(lane)
                await lane.drained()
            log.lose(3)
            assert await recover(committer, lane, 2, 30) is recovered
            assert (log.chunks == owner.told) is recovered
            flushing.cancel()

    asyncio.run(scenario())


@given(TURNS)
def test_log_has_every_word_once_whatever_it_lost(
    turns: list[tuple[list[list[TextDeltaChunk]], bool, int]],
) -> None:
    """Chunks that were stored again have the sequences that they had."""
    owner, log = Owner(), ForgetfulLog()
    lane = Lane(RunKey(session_id=SessionId("s"), run_id=RunId("r"), fence=1), owner)
    said: list[AnyChunk] = []

    def flush(*, answer_is_lost: bool) -> None:
        batch = lane.freeze()
        if answer_is_lost:
            log.append(batch)
        lane.acknowledge(log.append(batch))

    for puts, answer_is_lost, lost in turns:
        for chunks in puts:
            said += chunks
            lane.put(encode_lines(chunks), chunks, 5)
        if lane.busy:
            flush(answer_is_lost=answer_is_lost)
        log.lose(lost)
    last = [TextDeltaChunk(id="end", delta=".")]
    lane.put(encode_lines(last), last, 5)
    while lane.busy:
        flush(answer_is_lost=False)

    assert owner.ended is None
    assert log.chunks == owner.told
    assert list(joined(log.chunks)) == list(joined([*said, *last]))
    assert lane.pending_bytes == 0
