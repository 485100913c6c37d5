"""RunPace of a run: the silence that a reader saw, and what came after a stop."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from midstream.protocol.batch import ChunkBatch
from midstream.protocol.chunks import AbortChunk, StartChunk, TextDeltaChunk
from midstream.protocol.codec import encode_lines
from midstream.sessions.signals import pace as pace_module
from midstream.sessions.signals.pace import PAUSES, RunPace


class Played:
    """A pace, and the clock that it reads."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(pace_module, "time", SimpleNamespace(monotonic=lambda: self.now))
        self.pace = RunPace()

    def hear(self, at: float, sequence: int = 1) -> None:
        """Let a chunk come at a time."""
        self.now = at
        payload = encode_lines([StartChunk(message_id="m")])
        self.pace.heard(ChunkBatch(first=sequence, count=1, payload=payload, level=5))


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Played:
    return Played(monkeypatch)


@pytest.mark.parametrize(
    ("since", "until", "ended", "seconds"),
    [
        (100.0, 160.0, True, 38),  # the whole answer
        (120.0, 160.0, True, 20),  # came in the middle of the pause
        (100.0, 122.0, True, 20),  # left in the middle of it
        (145.0, 160.0, True, 0),  # came when all was said
        (100.0, 190.0, False, 49),  # still waits for the next chunk
        (141.0, 144.0, False, 3),
    ],
)
def test_reader_saw_the_part_of_a_pause_in_which_it_read(
    played: Played, since: float, until: float, *, ended: bool, seconds: float
) -> None:
    """A person who comes late, or leaves early, has waited for less."""
    for at in (100.2, 102, 140, 140.3, 141):
        played.hear(at)
    assert played.pace.longest_silence(since, until, ended=ended) == pytest.approx(seconds)


def test_start_is_no_word_of_an_answer(played: Played) -> None:
    """The gateway writes it at once, whatever the model does."""
    played.hear(100.1, sequence=0)
    assert played.pace.first is None
    played.hear(107)
    played.hear(109)
    assert played.pace.first == 107


def test_longest_pauses_are_kept_of_a_run_that_has_many(played: Played) -> None:
    """What is kept of a run that lasts for hours is bounded."""
    played.hear(140)
    for count in range(10 * PAUSES):
        played.hear(141.0 + count)
    assert played.pace.longest_silence(100, 1000, ended=True) == 40
    assert len(played.pace._pauses) == PAUSES


def test_text_behind_a_stop_is_counted_and_the_closing_chunks_are_not(played: Played) -> None:
    chunks = [TextDeltaChunk(id="t", delta="12345678"), AbortChunk()]
    played.pace.heard_after_stop(
        ChunkBatch(first=3, count=2, payload=encode_lines(chunks), level=5)
    )
    assert played.pace.tokens_after_stop == 2
