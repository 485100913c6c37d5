"""An agent's mistakes raise at the line that makes them."""

from __future__ import annotations

import asyncio
import json
import re
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, StrEnum
from itertools import count
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest
from msgspec import Raw
from pydantic import BaseModel

import midstream.client
from midstream.answer import Answer
from midstream.protocol import (
    Composer,
    ErrorChunk,
    MalformedFrameError,
    OpaqueChunk,
    TextDeltaChunk,
    TextStartChunk,
    ToolInputAvailableChunk,
    encode,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from midstream.protocol import AbortChunk, AnyChunk


class Said(Answer):
    """An answer that records its chunks."""

    def __init__(self) -> None:
        super().__init__()
        numbers = count(1)
        self._composer = Composer("m", lambda: str(next(numbers)))
        self.chunks: list[AnyChunk] = []

    @property
    def composer(self) -> Composer:
        return self._composer

    async def emit(self, chunks: Sequence[AnyChunk]) -> None:
        self.chunks += chunks

    def new_id(self) -> str:
        return "call"

    def give_up(self, last: ErrorChunk | AbortChunk) -> None:
        raise AssertionError(last)

    def last(self) -> Any:
        """Return the last chunk as clients read it."""
        return json.loads(encode(self.chunks[-1]))


def say(make: Callable[[Any], Coroutine[Any, Any, None]]) -> Said:
    """Have an answer say something."""
    said = Said()
    asyncio.run(make(said))
    return said


async def complete(call: Any, method: str, value: object) -> None:
    """Call a method of a tool call."""
    await getattr(call, method)(value)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda run: run.text(21), "run.text; `delta` must be a str, not int"),
        (lambda run: run.text(["a"]), "run.text; `delta` must be a str, not list"),
        (lambda run: run.text(None), "run.text; `delta` must be a str, not None"),
        (lambda run: run.text(b"a"), "run.text; `delta` must be a str, not bytes"),
        (lambda run: run.reasoning(21), "run.reasoning; `delta` must be a str, not int"),
        (
            lambda run: run.reasoning("a", provider_metadata=[1]),
            "run.reasoning; `provider_metadata` must be a mapping, not list",
        ),
        (lambda run: run.source(None), "run.source; `url` must be a str, not None"),
        (lambda run: run.source("u", 3), "run.source; `title` must be a str, not int"),
        (lambda run: run.document("t", None), "run.document; `media_type` must be a str, not None"),
        (
            lambda run: run.document("t", "a/b", filename=1),
            "run.document; `filename` must be a str, not int",
        ),
        (lambda run: run.file("u", 1), "run.file; `media_type` must be a str, not int"),
        (lambda run: run.data(1, {}), "run.data; `name` must be a str, not int"),
        (lambda run: run.data("n", {}, part_id=3), "run.data; `part_id` must be a str, not int"),
        (
            lambda run: run.data("n", object()),
            "run.data; `value` is not JSON: a object has no JSON",
        ),
        (lambda run: run.data("n", {(1, 2): 3}), "run.data; `value` is not JSON: a mapping's keys"),
        (lambda run: run.status(1), "run.status; `text` must be a str, not int"),
        (lambda run: run.metadata([1]), "run.metadata; `metadata` must be a mapping, not list"),
        (lambda run: run.chunk(21), "take a chunk; it must be a mapping, a Struct"),
        (lambda run: run.chunk([]), "take a chunk; it must be a mapping, a Struct"),
        (
            lambda run: complete(run.tool("t", {}), "output", {1, object()}),
            "call.output; `output` is not JSON: a object has no JSON",
        ),
        (
            lambda run: complete(run.tool("t", {}), "fail", ValueError("no")),
            "call.fail; `error_text` must be a str, not ValueError",
        ),
        (lambda run: complete(run.tool("t"), "input", {}), "call.input; `delta` must be a str"),
        (lambda run: complete(run.tool(1, {}), "output", 1), "run.tool; `name` must be a str"),
        (lambda run: complete(run.tool("t", int), "output", 1), "run.tool; `tool_input` is not"),
        (lambda run: complete(run.tool("t", {}, call_id=7), "output", 1), "run.tool; `call_id`"),
        (lambda run: complete(run.tool("t", {}, title=7), "output", 1), "run.tool; `title` must"),
    ],
)
def test_wrong_type_is_refused_at_the_call_and_nothing_is_sent(
    make: Callable[[Any], Coroutine[Any, Any, None]], sentence: str
) -> None:
    """The sentence has the method's name, the argument's and what it was."""
    said = Said()
    with pytest.raises(TypeError, match=re.escape(sentence)):
        asyncio.run(make(said))
    assert said.chunks == []


class City(BaseModel):
    """A model of pydantic's."""

    name: str
    founded: datetime | None = None


class Point(msgspec.Struct):
    """A Struct."""

    x: float


@dataclass
class Weather:
    """A dataclass."""

    celsius: float
    city: City


class Colour(Enum):
    """An enum."""

    RED = "red"


class Word(StrEnum):
    """A string by another name."""

    HELLO = "hello"


class Text(str):
    """A subclass, as markup libraries have them."""

    __slots__ = ()


class Number(float):
    """A subclass, as numpy's float64 is one."""

    __slots__ = ()


class Count(int):
    """A subclass, as units libraries have them."""

    __slots__ = ()


MOMENT = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (None, None),
        ({"a": [1, 2.5, True, "x"]}, {"a": [1, 2.5, True, "x"]}),
        (float("nan"), None),
        ([float("inf"), -float("inf")], [None, None]),
        (MOMENT, "2026-01-31T12:00:00Z"),
        (City(name="Rome", founded=MOMENT), {"name": "Rome", "founded": "2026-01-31T12:00:00Z"}),
        ([City(name="Rome")], [{"name": "Rome", "founded": None}]),
        (
            Weather(float("nan"), City(name="Rome")),
            {"celsius": None, "city": {"name": "Rome", "founded": None}},
        ),
        (Point(1.5), {"x": 1.5}),
        (Colour.RED, "red"),
        ({Text("k"): Text("v")}, {"k": "v"}),
        (Number(1.5), 1.5),
        (Count(3), 3),
        (MappingProxyType({"a": 1}), {"a": 1}),
        (deque([1]), [1]),
        (range(2), [0, 1]),
        ((1, 2), [1, 2]),
        ({1: 2}, {"1": 2}),
        (b"x", "eA=="),
        (10**30, 10**30),
        (
            {"\ud83d": ["\ud83d!", Point(1), City(name="x"), Word.HELLO]},
            {"\ufffd": ["\ufffd!", {"x": 1}, {"name": "x", "founded": None}, "hello"]},
        ),
        (Raw(b'{"a":\n1}'), {"a": 1}),
    ],
)
def test_values_that_have_json_are_sent_as_every_client_reads_them(
    value: object, read: object
) -> None:
    """Numbers that JSON does not have are null, as JavaScript writes them."""
    said = say(lambda run: run.data("n", value))
    written = said.last()["data"]
    assert written == read
    called = say(lambda run: run.tool("t", {"value": value}).output(value))
    assert called.last()["output"] == written


def nested(depth: int) -> list[Any]:
    """Return a list in a list in a list."""
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value", [nested(100_000), Raw(b"nonsense"), Raw(b""), Raw(b"NaN"), Raw(b'"\xff"')]
)
def test_values_that_are_nested_too_deep_or_only_seem_to_be_json_are_refused(value: object) -> None:
    """Clients could not read them."""
    with pytest.raises(ValueError, match=r"unable to call run\.data; `value` is not JSON: it is n"):
        say(lambda run: run.data("n", value))


@pytest.mark.parametrize(
    ("text", "read"),
    [("\ude00", "\ufffd"), ("a\ud83db", "a\ufffdb"), ("\U0001f600", "\U0001f600"), ("é", "é")],
)
def test_lone_surrogate_becomes_the_character_for_what_cannot_be_shown(
    text: str, read: str
) -> None:
    """No encoding has it."""
    assert say(lambda run: run.text(text)).last()["delta"] == read


@pytest.mark.parametrize("text", [Text("x"), Word.HELLO])
def test_subclass_of_str_is_text(text: str) -> None:
    """It is sent as the string that it is."""
    assert say(lambda run: run.text(text)).last()["delta"] == str.__str__(text)


@pytest.mark.parametrize(
    "chunk",
    [
        TextDeltaChunk(id="t", delta=cast("str", 21)),
        TextDeltaChunk(id=cast("str", None), delta="x"),
        TextStartChunk(id="t", provider_metadata=Raw(b"nonsense")),
        ToolInputAvailableChunk(tool_call_id="c", tool_name="t", input=Raw(b"{")),
        OpaqueChunk(type="data-x", raw=b"nonsense"),
        {"type": "text-delta", "id": "t", "delta": 21},
        {"type": 3},
        {},
        "nonsense",
        b"\xff",
    ],
)
def test_chunk_whose_fields_are_of_other_types_is_refused_where_it_enters(chunk: Any) -> None:
    """As a Struct, which checks nothing by itself, as a mapping and as JSON."""
    said = Said()
    with pytest.raises((MalformedFrameError, ValueError)):
        asyncio.run(said.chunk(chunk))
    assert said.chunks == []


@pytest.mark.parametrize(("reason", "error"), [(5, TypeError), ("ready", ValueError)])
def test_finish_reason_is_one_of_the_protocols(reason: Any, error: type[Exception]) -> None:
    """It is checked where it is set."""
    with pytest.raises(error, match=r"unable to set run\.finish_reason; it must be one of stop, "):
        Said().finish_reason = reason


def test_workers_runs_have_the_same_methods() -> None:
    """A push client's runs are checked by the same code."""
    own = vars(midstream.client.Run).keys() & vars(Answer).keys()
    assert not own & {"text", "reasoning", "tool", "source", "document", "file", "data", "status"}
    assert not own & {"metadata", "chunk", "finish_reason"}
