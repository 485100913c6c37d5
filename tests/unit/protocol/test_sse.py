"""Server-sent events, as others write them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstream.protocol import DONE, HEARTBEAT, Event, MalformedFrameError, SseDecoder
from midstream.protocol.sse import ERROR_NAME

STREAM = (
    b"\xef\xbb\xbf: hello\nretry: 10\n\n"
    b"data: one\n\n"
    b"event: named\ndata: two\n\n"
    b"id: 7\ndata:three\ndata:  lines\ndata\n\n"
    b"event: unsaid\nid: 8\n\n"
    b"\n\n\ndata\n\n"
    b'event: \ndata: {"a":"b:c"}\nunknown: x\nnofield\n\n'
    b"id: nul\0\ndata: four\n\n"
    b"data: cut off\n"
)
EVENTS = [
    Event(b"one"),
    Event(b"two", name="named"),
    Event(b"three\n lines\n", id="7"),
    Event(b"", id="8"),
    Event(b'{"a":"b:c"}', id="8"),
    Event(b"four", id="8"),
]


@given(
    st.sampled_from([b"\n", b"\r\n", b"\r"]),
    st.lists(st.integers(0, len(STREAM) + 40), max_size=12),
)
def test_decoder_reads_any_split_of_any_line_end_alike(line_end: bytes, cuts: list[int]) -> None:
    """Neither the cuts of the network nor the line ends change the result."""
    stream = STREAM.replace(b"\n", line_end)
    decoder = SseDecoder()
    places = [0, *sorted(cuts), len(stream)]
    events = [
        event
        for start, end in pairwise(places)
        for event in decoder.receive_data(stream[start:end])
    ]
    assert events == EVENTS


@given(st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_decoder_reads_byte_by_byte(line_end: bytes) -> None:
    """The smallest pieces, too."""
    decoder = SseDecoder()
    stream = STREAM.replace(b"\n", line_end)
    assert [
        e for i in range(len(stream)) for e in decoder.receive_data(stream[i : i + 1])
    ] == EVENTS


def test_decoder_reads_mixed_line_ends() -> None:
    """Two servers' habits in one stream."""
    stream = b"data: a\r\n\ndata: b\r\rdata: c\n\r\nid: 1\rdata: d\n\n"
    data = [event.data for event in SseDecoder().receive_data(stream)]
    assert data == [b"a", b"b", b"c", b"d"]


def test_decoder_keeps_a_byte_order_mark_that_is_not_first() -> None:
    """Only the stream's first three bytes can be one."""
    events = SseDecoder().receive_data(b"data: \xef\xbb\xbf\n\n")
    assert events == [Event(b"\xef\xbb\xbf")]


@pytest.mark.parametrize(
    "pieces",
    [
        [b"data: " + b"x" * 60 + b"\n\n"],
        [b"data: ", *[b"x" * 10] * 6],
        [b"data: ok\n\ndata: " + b"x" * 60],
        [b"data: ok\n\ndata: ", b"x" * 45],
    ],
)
def test_decoder_refuses_an_event_without_end(pieces: list[bytes]) -> None:
    """A server that never ends its event does not fill the memory."""
    decoder = SseDecoder(max_event_bytes=50)
    with pytest.raises(MalformedFrameError, match="over 50 bytes"):
        for piece in pieces:
            decoder.receive_data(piece)


def test_decoder_takes_many_events_of_any_total_size() -> None:
    """The limit is one event's, not the stream's."""
    decoder = SseDecoder(max_event_bytes=50)
    events = decoder.receive_data(b"data: 1234567890\n\n" * 20)
    assert len(events) == 20
    assert len(decoder.receive_data(b"data: 1234567890\n\ndata")) == 1


def test_our_own_constants_are_events_of_the_right_kind() -> None:
    """A heartbeat is nothing to a client; the end is one event."""
    assert SseDecoder().receive_data(HEARTBEAT + DONE) == [Event(b"[DONE]")]


def test_error_line_is_an_error_where_a_server_writes_those() -> None:
    """Its name is none that an event can have."""
    (event,) = SseDecoder(error_lines=True).receive_data(b'error: {"code":500}\n\n')
    assert (event.name, event.data) == (ERROR_NAME, b'{"code":500}')
    assert SseDecoder().receive_data(b'error: {"code":500}\n\n') == []
