"""Messages for a pushed run, as its worker takes them up: each once, and again by an attempt that
replays."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from midstream.client.steering import MAX_NAMED, Steers
from midstream.protocol.chunks import SteeringMessageChunk
from midstream.protocol.codec import decode

from .test_attempt import attempt, legal, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midstream.client.attempt import Attempt

pytestmark = pytest.mark.anyio

said = st.lists(st.sampled_from(["text", "think", "source", "step", "take"]), max_size=12)


def message(name: str) -> Raw:
    parts = [
        {"type": "text", "text": f"say {name} ü", "providerMetadata": {"p": {"b": 1, "a": 2}}},
        {"type": "file", "mediaType": "text/plain", "url": "data:text/plain,hi"},
    ]
    return Raw(msgspec.json.encode({"id": name, "role": "user", "parts": parts, "metadata": {}}))


def known(steers: Steers) -> list[str]:
    asked: dict[str, list[str]] = msgspec.json.decode(steers.asked())
    return asked["steers"]


def write(made: Attempt, steers: Steers, names: Sequence[str]) -> tuple[list[bytes], list[str]]:
    """Write these, and take up what waits at each `take`; return the lines to send, and its ids."""
    lines, taken = list[bytes](), list[str]()
    for name in names:
        if name != "take":
            lines += say(made, [name])
        elif messages := steers.take():
            lines += made.say(made.composer.steering(messages))
            taken += [each.id for each in messages]
    return lines, taken


@given(names=said, at=st.integers(0, 40))
def test_attempt_that_replays_takes_up_the_same_messages_at_the_same_points(
    names: list[str], at: int
) -> None:
    """Wherever the earlier one was cut; what the log does not have is given anew, once."""
    first = attempt()
    steers = Steers(first)
    whole, all_taken = list[bytes](), list[str]()
    for number, name in enumerate(names):
        steers.receive([message(f"m{number}")] if name == "take" else [])
        lines, taken = write(first, steers, [name])
        whole, all_taken = whole + lines, all_taken + taken
    stored = whole[:at]
    in_log = {each.id for each in map(decode, stored) if isinstance(each, SteeringMessageChunk)}
    again = attempt(stored)
    steers = Steers(again)
    assert known(steers) == [name for name in all_taken if name in in_log]
    rest = list[bytes]()
    for number, name in enumerate(names):
        if name == "take" and f"m{number}" not in in_log:
            steers.receive([message(f"m{number}")])
        rest += write(again, steers, [name])[0]
    assert rest == whole[len(stored) :]
    assert again.missing() is None
    legal(whole)


def test_attempt_that_continues_takes_up_only_what_is_new() -> None:
    first = attempt()
    steers = Steers(first)
    steers.receive([message("m1")])
    stored, _ = write(first, steers, ["text", "take", "text"])
    again = attempt(stored, "continue")
    steers = Steers(again)
    steers.receive([message("m1"), message("m2")])
    lines, taken = write(again, steers, ["take", "text"])
    assert taken == ["m2"]
    legal([*stored, *lines])


def test_message_that_comes_again_is_taken_once_and_named_among_the_newest() -> None:
    """A renewal names as many ids as a gateway takes."""
    steers = Steers(attempt())
    steers.receive([message("again")])
    for number in range(MAX_NAMED):
        steers.receive([message(f"m{number}")])
    assert "again" not in known(steers)
    steers.receive([message("again")])
    assert (len(known(steers)), known(steers)[-1]) == (MAX_NAMED, "again")
    assert [each.id for each in steers.take()] == ["again", *(f"m{n}" for n in range(MAX_NAMED))]
    assert steers.take() == []


async def test_those_who_wait_are_woken_by_a_message_and_by_the_end() -> None:
    steers = Steers(attempt())
    waiting = asyncio.create_task(steers.arrival())
    await asyncio.sleep(0)
    steers.receive([message("m1")])
    assert await waiting
    steers.take()
    waiting = asyncio.create_task(steers.arrival())
    await asyncio.sleep(0)
    steers.end()
    assert not await waiting
    steers.receive([message("m2")])
    assert not await steers.arrival()


async def test_attempt_that_replays_is_told_once_it_comes_to_the_point() -> None:
    first = attempt()
    steers = Steers(first)
    steers.receive([message("m1")])
    stored, _ = write(first, steers, ["text", "take", "text"])
    again = attempt(stored)
    steers = Steers(again)
    steers.receive([message("m2")])
    waiting = asyncio.create_task(steers.arrival())
    await asyncio.sleep(0)
    assert not waiting.done()
    say(again, ["text"])
    steers.move()
    assert await waiting
    assert write(again, steers, ["take", "take", "text", "take"])[1] == ["m1", "m2"]
