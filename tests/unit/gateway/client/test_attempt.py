"""Attempts at a run: what of it is new, and what an earlier one has said already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from midstream.client import ReplayMismatchError
from midstream.client.attempt import Attempt, OnRetry
from midstream.client.wire import Claim
from midstream.protocol.codec import decode
from midstream.protocol.writer import ChunkWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from midstream.protocol.chunks import AnyChunk
    from midstream.protocol.composer import Composer

START = b'{"type":"start","messageId":"msg_1"}'

SAYINGS: dict[str, Callable[[Composer], list[AnyChunk]]] = {
    "text": lambda c: c.text("word "),
    "long": lambda c: c.text("many words, " * 20),
    "think": lambda c: c.reasoning("hm"),
    "call": lambda c: c.call("look", {"a": 1}, "call-fixed"),
    "source": lambda c: c.source("https://example.com"),
    "data": lambda c: c.data("chart", [1.5, {"b": None, "a": "ü\n"}], part_id="x"),
    "status": lambda c: c.status("busy"),
    "metadata": lambda c: c.metadata({"n": 1}),
    "step": lambda c: c.step(),
}
said = st.lists(st.sampled_from([name for name in SAYINGS if name != "call"]), max_size=12)


def claim(stored: Sequence[bytes], **rest: Any) -> Claim:
    """The answer to a claim, over the wire as it comes."""
    wire = msgspec.json.encode(
        {
            "runId": "run_0123456789abcdef",
            "messageId": "msg_1",
            "fence": 1,
            "chunks": [Raw(line) for line in (START, *stored)],
            **rest,
        }
    )
    return msgspec.json.decode(wire, type=Claim)


def attempt(stored: Sequence[bytes] = (), on_retry: OnRetry = "replay") -> Attempt:
    return Attempt(claim(stored), on_retry)


def say(made: Attempt, names: Sequence[str]) -> list[bytes]:
    """Write these chunks; return the lines to send."""
    return [line for name in names for line in made.say(SAYINGS[name](made.composer))]


def legal(lines: Sequence[bytes]) -> None:
    """Raise unless they are a run's chunks in legal order."""
    ChunkWriter.resume_from(map(decode, (START, *lines)), "msg_1")


@given(names=said, at=st.integers(0, 40))
def test_repeated_attempt_sends_what_is_missing_and_no_more(names: list[str], at: int) -> None:
    """Wherever the earlier one was cut, also between two chunks of one saying."""
    whole = say(attempt(), names)
    stored = whole[:at]
    again = attempt(stored)
    assert say(again, names) == whole[len(stored) :]
    assert again.missing() is None
    legal(whole)


@given(before=said, after=said, at=st.integers(0, 40))
def test_attempt_that_continues_goes_on_legally_after_whatever_is_stored(
    before: list[str], after: list[str], at: int
) -> None:
    """With ids of its own: no part of the earlier one is opened twice."""
    stored = say(attempt(), before)[:at]
    again = attempt(stored, "continue")
    sent = say(again, after)
    legal([*stored, *sent])
    ids = [decode(line) for line in [*stored, *sent]]
    sources = [chunk.source_id for chunk in ids if hasattr(chunk, "source_id")]
    assert len(sources) == len(set(sources))
    assert again.missing() is None


def test_open_part_goes_on_with_its_next_word() -> None:
    """The text that was cut is one part in the end, and the message begins with it."""
    stored = say(attempt(), ["text"])
    again = attempt(stored, "continue")
    assert again.message()["parts"][-1] == {"type": "text", "text": "word ", "state": "streaming"}
    (line,) = say(again, ["text"])
    assert msgspec.json.decode(line)["type"] == "text-delta"
    assert again.message()["parts"][-1]["text"] == "word word "


@pytest.mark.parametrize("names", [["long"], ["think", "text"], ["text", "text", "source"]])
def test_attempt_that_says_something_else_is_refused_at_the_first_difference(
    names: list[str],
) -> None:
    """By its sequence; nothing of it is sent."""
    stored = say(attempt(), ["text", "text", "text"])
    with pytest.raises(ReplayMismatchError, match=r'on_retry="continue"') as refused:
        say(attempt(stored), names)
    assert refused.value.sequence in (2, 3, 5)


def test_attempt_that_says_less_is_found_at_its_end() -> None:
    """It names the first chunk that was not said again."""
    again = attempt(say(attempt(), ["text", "text"]))
    say(again, ["text"])
    missing = again.missing()
    assert missing is not None and missing.sequence == 4


def test_message_that_is_continued_keeps_what_it_had() -> None:
    """The run's `message` is the whole message, with the parts of the earlier run."""
    base = {"id": "msg_1", "role": "assistant", "parts": [{"type": "text", "text": "before"}]}
    made = Attempt(claim((), message=base), "replay")
    say(made, ["text"])
    assert [p.get("text") for p in made.message()["parts"]] == ["before", None, "word "]
