"""A run's lane over a log that loses what it has acknowledged, as at a failover."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from midstream.ids import RunId, SessionId
from midstream.protocol.chunks import AnyChunk, TextDeltaChunk
from midstream.protocol.codec import decode_lines, encode_lines
from midstream.protocol.deltas import joined
from midstream.sessions.runs.lane import Lane
from midstream.store.calls import AppendBatch, Appended, AppendStatus, RunKey
from tests.unit.gateway.sessions.runs.test_committer import Owner

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
