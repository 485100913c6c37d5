"""Pace and incidents, on a clock that only moves when it is slept on."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING

from midstream.simulator.directives import AnswerScript, read_directives
from midstream.simulator.holds import AnswerHolds
from midstream.simulator.player import Player
from midstream.simulator.wire import FramedEvent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from midstream.simulator.failures import RequestError


class ManualClock:
    """Time that passes by sleeping alone."""

    def __init__(self) -> None:
        self.at = 0.0

    def now(self) -> float:
        """Return seconds so far."""
        return self.at

    def unix_time(self) -> float:
        """Return seconds so far."""
        return self.at

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.at += seconds


def events(deltas: int) -> Iterator[FramedEvent]:
    """Yield a start, numbered deltas and an end."""
    yield FramedEvent(b"<start>")
    for number in range(1, deltas + 1):
        yield FramedEvent(f"{number},".encode(), delta=True)
    yield FramedEvent(b"<end>")


def play(directives: str, deltas: int) -> tuple[list[tuple[float, bytes]], str, float]:
    """Play; return writes with their times, the ending and the time that it took."""
    clock = ManualClock()
    written: list[tuple[float, bytes]] = []

    async def emit(frames: list[bytes]) -> None:
        written.append((clock.at, b"".join(frames)))

    def error_event(error: RequestError, sequence: int) -> bytes:
        return f"<{error.failure.anthropic_type} {sequence}>".encode()

    script = read_directives(directives, AnswerScript(first_s=0)).script
    ending = asyncio.run(
        Player(script, clock, emit, AnswerHolds()).play(events(deltas), error_event)
    )
    return written, ending, clock.at


def text(written: list[tuple[float, bytes]]) -> bytes:
    """Return all that was written."""
    return b"".join(frames for _, frames in written)


def test_player_keeps_the_rate_with_a_little_jitter() -> None:
    """A thousand deltas at 50 a second take about 20 seconds, unevenly."""
    written, _, took_s = play("[[rate=50]]", 1000)
    assert 19 < took_s < 21
    gaps = {round(b[0] - a[0], 4) for a, b in itertools.pairwise(written)}
    assert len(gaps) > 10
    assert all(0.8 / 50 - 0.001 <= gap <= 1.2 / 50 + 0.001 for gap in gaps - {0.0})


def test_player_batches_at_full_speed() -> None:
    """With `rate=0` no time passes, and many events share a write."""
    written, _, took_s = play("[[rate=0]]", 50_000)
    assert took_s == 0
    assert len(written) < 50
    assert text(written).count(b",") == 50_000


def test_player_is_silent_before_the_first_delta() -> None:
    """The opening events are sent at once, the first delta after `first`."""
    written, _, took_s = play("[[rate=0 first=2s]]", 3)
    assert written == [(0.0, b"<start>"), (2.0, b"1,2,3,<end>")]
    assert took_s == 2


def test_player_stalls_where_it_was_told() -> None:
    """All that came before a stall is sent before it."""
    written, _, _ = play("[[rate=0]] [[stall=5s after=2]]", 3)
    assert written == [(0.0, b"<start>1,2,"), (5.0, b"3,<end>")]


def test_player_holds_an_answer_until_it_is_released() -> None:
    """All that came before is sent; the rest as soon as the hold is released, once for all."""
    holds = AnswerHolds()
    script = read_directives("[[hold=door after=2 rate=0]]", AnswerScript(first_s=0)).script
    written: list[bytes] = []
    came = asyncio.Event()

    async def emit(frames: list[bytes]) -> None:
        written.append(b"".join(frames))
        came.set()

    async def play_and_release() -> list[bytes]:
        players = [Player(script, ManualClock(), emit, holds) for _ in range(2)]
        playing = asyncio.create_task(players[0].play(events(3), lambda *_: b""))
        await came.wait()
        held = list(written)
        holds.release("other")
        assert not playing.done()
        holds.release("door")
        assert await playing == "completed"
        assert await players[1].play(events(3), lambda *_: b"") == "completed"
        return held

    assert asyncio.run(play_and_release()) == [b"<start>1,2,"]
    assert written == [b"<start>1,2,", b"3,<end>"] * 2


def test_player_goes_on_when_nobody_releases_it() -> None:
    """A hold has an end."""
    asyncio.run(AnswerHolds(limit_s=0).wait("door"))


def test_player_meets_several_incidents_in_order() -> None:
    """Incidents happen by their place in the answer, not in the prompt."""
    written, ending, _ = play("[[rate=0]] [[cut after=4]] [[malformed after=1]]", 9)
    assert ending == "cut"
    assert text(written).startswith(b"<start>1,event: message\n")
    assert text(written).endswith(b"2,3,4,")


def test_player_ends_after_an_error_event() -> None:
    """An error is the last event, numbered after those before it."""
    written, ending, _ = play("[[rate=0 error=overloaded after=2]]", 9)
    assert ending == "completed"
    assert text(written) == b"<start>1,2,<overloaded_error 3>"


def test_player_passes_over_incidents_beyond_the_end() -> None:
    """An incident after more deltas than there are does not happen."""
    written, ending, _ = play("[[rate=0 cut after=10]]", 9)
    assert ending == "completed"
    assert text(written).endswith(b"9,<end>")


def test_player_takes_time_for_pieces_that_do_not_show() -> None:
    """Hidden reasoning is silence of its own length."""
    clock = ManualClock()

    async def emit(frames: list[bytes]) -> None:
        pass

    hidden = iter([FramedEvent(b"", delta=True)] * 100)
    script = AnswerScript(first_s=0, rate=100)
    asyncio.run(
        Player(script, clock, emit, AnswerHolds()).play(hidden, lambda _error, _sequence: b"")
    )
    assert 0.9 < clock.at < 1.1
