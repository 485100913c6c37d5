"""The newest batches of a run, in a process's memory."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstream.protocol.batch import ChunkBatch
from midstream.sessions.log.ring import KEPT_BYTES, KEPT_S, LOOSE, RECENT, Ring

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """A clock that moves only by hand."""
    now = [100.0]
    monkeypatch.setattr("midstream.sessions.log.ring.time.monotonic", lambda: now[0])

    def go_on(seconds: float) -> None:
        now[0] += seconds

    return go_on


def line(number: int, size: int = 0) -> bytes:
    return b'{"n":%d,"x":"%b"}\n' % (number, b"x" * size)


def batch(first: int, count: int, size: int = 0) -> ChunkBatch:
    payload = b"".join(line(number, size) for number in range(first, first + count))
    return ChunkBatch(first=first, count=count, payload=payload, level=5)


def read(ring: Ring, sequence: int) -> Iterator[tuple[str, bytes]]:
    """Yield what a reader gets that has everything before `sequence`."""
    while sequence < ring.next:
        offset, found = ring.after(sequence)
        assert found.first == sequence
        yield offset, found.payload
        sequence = found.last + 1


@given(st.lists(st.integers(1, 4), min_size=1, max_size=60), st.integers(0, 400))
def test_reader_gets_every_chunk_once_from_wherever_it_is(counts: list[int], size: int) -> None:
    """Joined batches or not: the lines from the cursor on, in order, and where each ends."""
    ring, total = Ring(0), sum(counts)
    ends: dict[str, int] = {}
    firsts = itertools.accumulate(counts, initial=0)
    for index, (first, count) in enumerate(zip(firsts, counts, strict=False)):
        assert ring.append(f"{index}-0", batch(first, count, size)) == ()
        ends[f"{index}-0"] = first + count
    for cursor in range(total):
        position = cursor
        for offset, payload in read(ring, cursor):
            assert payload == b"".join(line(n, size) for n in range(position, ends[offset]))
            position = ends[offset]
        assert position == total


def test_small_batches_are_joined() -> None:
    """There are few objects, however many batches came; the newest stay as they came."""
    ring = Ring(0)
    newest: list[ChunkBatch] = []
    for number in range(100):
        newest = [*newest, batch(number, 1)][-RECENT:]
        ring.append(f"{number}-0", newest[-1])
    assert len(list(read(ring, 0))) <= LOOSE + 100 / (LOOSE - RECENT)
    for each in newest:
        assert ring.after(each.first)[1] is each


def test_large_batches_are_not_copied() -> None:
    """Joining is for those that are smaller than what holds them."""
    ring = Ring(0)
    batches = [batch(number, 1, 1_000) for number in range(20)]
    for number, each in enumerate(batches):
        ring.append(f"{number}-0", each)
    assert all(ring.after(number)[1] is each for number, each in enumerate(batches))


def test_what_is_old_leaves_when_something_comes(clock: Callable[[float], None]) -> None:
    """The owner gets the old batches in order and without a hole; the newest stay."""
    ring = Ring(7)
    left: list[ChunkBatch] = []
    for number in range(7, 47):
        left += ring.append(f"{number}-0", batch(number, 1))
    assert not left
    clock(KEPT_S + 1)
    left += ring.append("47-0", batch(47, 1))
    assert b"".join(each.payload for each in left) == b"".join(map(line, range(7, ring.base)))
    assert ring.base == 48 - RECENT
    assert len(list(read(ring, ring.base))) == RECENT


def test_large_answers_are_bounded_by_bytes() -> None:
    """However much comes at once."""
    ring = Ring(0)
    for number in range(100):
        ring.append(f"{number}-0", batch(number, 1, 20_000))
    assert sum(len(payload) for _, payload in read(ring, ring.base)) <= KEPT_BYTES


def test_ring_begins_again_where_it_is_told() -> None:
    """Nothing of before is there."""
    ring = Ring(0)
    for number in range(LOOSE + 1):
        ring.append(f"{number}-0", batch(number, 1))
    ring.restart(50)
    assert (ring.base, ring.next) == (50, 50)
    ring.append("50-0", batch(50, 2))
    assert list(read(ring, 50)) == [("50-0", line(50) + line(51))]
