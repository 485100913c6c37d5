"""Side information never decides over an answer, whatever shape it has."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from msgspec import Struct

from midstream.protocol.chunks import TextDeltaChunk, ToolInputAvailableChunk
from midstream.providers.anthropic.stream.translator import AnthropicTranslator
from midstream.providers.anthropic.tool_names import ToolNames
from midstream.providers.conversation.tool_calls import ToolCalls
from midstream.providers.openai_chat.compatible.translator import OpenAICompatibleTranslator
from midstream.providers.openai_chat.translator import OpenAIChatTranslator
from midstream.providers.openai_responses.stream.translator import OpenAIResponsesTranslator
from midstream.providers.part_ids import PartIds
from midstream.providers.stream.loose import Side, read_loosely
from tests.integration.endings.answers import APIS, call, end, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from midstream.providers.base import Translator

ODD: list[Any] = [1.0, None, "x", -3, [], {}, [{"a": 1}], True]
ABSENT = object()

CONTENT = {
    "content",
    "text",
    "delta",
    "partial_json",
    "input",
    "arguments",
    "name",
    "type",
    "choices",
    "tool_calls",
    "function",
    "item",
    "content_block",
    "call_id",
}
"""Fields that content is made of: without them, there is less of an answer."""


class _Inner(Struct):
    count: Side[int | None] = None
    said: str | None = None


class _Outer(Struct):
    said: str
    inner: list[_Inner] | None = None
    note: Side[_Inner | None] = None


def test_side_fields_that_cannot_be_read_count_as_absent() -> None:
    """At any depth; content beside them is read."""
    value = read_loosely(_Outer, b'{"said":"a","inner":[{"count":1.0,"said":"b"}],"note":[]}')
    assert value == _Outer("a", [_Inner(None, "b")])


@pytest.mark.parametrize("data", [b"{}", b'{"said":1}', b'{"said":"a","inner":[{"said":1}]}'])
def test_content_that_cannot_be_read_is_refused(data: bytes) -> None:
    """Else it would be lost in silence."""
    with pytest.raises(msgspec.ValidationError):
        read_loosely(_Outer, data)


def translator(api: str) -> Translator:
    new_id = map("new-{}".format, itertools.count()).__next__
    calls = ToolCalls(["weather"])
    if api == "chat":
        return OpenAIChatTranslator(calls, new_id=new_id)
    if api == "compatible":
        return OpenAICompatibleTranslator(calls, new_id=new_id)
    if api == "responses":
        return OpenAIResponsesTranslator(calls, new_id=new_id)
    return AnthropicTranslator(names=ToolNames(()), calls=calls, new_id=new_id, part_ids=PartIds())


def events(frames: Sequence[bytes]) -> list[Any]:
    """The events' JSON, without the mark at the end."""
    found = [frame.partition(b"data: ")[2].strip() for frame in frames]
    return [json.loads(each) for each in found if each != b"[DONE]"]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The position of each field in an event."""
    fields = value if isinstance(value, dict) else dict(enumerate(value))
    for key, inner in fields.items():
        yield (*path, key)
        if isinstance(inner, (dict, list)):
            yield from places(inner, (*path, key))


def changed(event: Any, path: tuple[Any, ...], odd: Any) -> Any:
    """The event with another value at a place, or none."""
    copy = json.loads(json.dumps(event))
    at = copy
    for key in path[:-1]:
        at = at[key]
    if odd is ABSENT:
        at.pop(path[-1])
    else:
        at[path[-1]] = odd
    return copy


def is_content(path: tuple[Any, ...]) -> bool:
    """Whether what stands there is content, or says which content it is."""
    last = path[-1]
    if last == "id":
        return path[-2:-1] == ("content_block",) or "tool_calls" in path
    return isinstance(last, int) or last in CONTENT


def outcome(api: str, told: Sequence[Any]) -> tuple[str, list[Any], Any]:
    """The chunks, or the error, that a translator makes of events."""
    target = translator(api)
    chunks = [chunk for event in told for chunk in target.receive(json.dumps(event).encode())]
    chunks += target.receive(b"[DONE]")
    chunks += target.receive_eof()
    said = "".join(chunk.delta for chunk in chunks if isinstance(chunk, TextDeltaChunk))
    called = [
        (chunk.tool_name, bytes(chunk.input))
        for chunk in chunks
        if isinstance(chunk, ToolInputAvailableChunk)
    ]
    return said, called, target.result


@pytest.mark.parametrize("calls", [False, True])
@pytest.mark.parametrize("api", APIS)
def test_any_odd_side_field_leaves_the_answer_as_it_is(api: str, calls: bool) -> None:
    """Each field of each event, absent and in each odd shape; the same words, the same calls."""
    frames = call(api, "c1") if calls else text(api, "All ", "said.")
    told = events([*frames, *end(api, called=calls)])
    said, called, _ = outcome(api, told)
    assert said or called
    for index, event in enumerate(told):
        for path in places(event):
            if is_content(path):
                continue
            for odd in (*ODD, ABSENT):
                other = [*told[:index], changed(event, path, odd), *told[index + 1 :]]
                if path[-1] == "error" and odd not in (None, ABSENT):
                    continue
                if path[-1] == "index" and odd == -3:
                    continue  # another block's
                now_said, now_called, result = outcome(api, other)
                where = f"{path} = {odd!r} in {event}"
                assert (now_said, now_called) == (said, called), where
                assert result.failure is None and result.warning is None, where
