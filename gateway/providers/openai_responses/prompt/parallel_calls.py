"""Calls out of one `parallel` wrapper, put together again for a server that keeps the history.

It has the wrapper and not the calls that were taken out of it, and waits for one output: the
results in their order. Where the whole history is sent, calls and results stay apart.

Source: @ai-sdk/openai 4.0.118, `responses/convert-to-openai-responses-input.ts`
(`collectCompleteParallelToolResultGroups`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from midstream.protocol.codec import UNREADABLE
from midstream.providers.conversation.call_names import MAX_CALL_ID, MAX_OPENAI_NAME, fitting
from midstream.providers.conversation.messages import ModelToolResult, ToolMessage
from midstream.providers.openai.options import part_options
from midstream.providers.openai.results import result_items, result_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from midstream.providers.conversation.messages import Metadata, ModelMessage

Item = dict[str, object]


class Wrapper(Struct, rename="camel"):
    """A call's place in its wrapper; only the first one has the wrapper's `input`."""

    item_id: str
    tool_call_id: str
    tool_name: str
    index: int
    count: int
    input: str | None = None

    def is_same(self, other: Wrapper) -> bool:
        """Whether both are of one wrapper."""
        inputs = {self.input, other.input} - {None}
        return len(inputs) < 2 and (
            (self.item_id, self.tool_call_id, self.tool_name, self.count)
            == (other.item_id, other.tool_call_id, other.tool_name, other.count)
        )


class Together(Struct):
    """A wrapper all of whose calls have results.

    Attributes:
        called, answered: whether the request has it already.
    """

    wrapper: Wrapper
    results: list[ModelToolResult]
    called: bool = False
    answered: bool = False

    def call(self, *, in_conversation: bool) -> Iterator[Item]:
        """Yield the wrapper's call, once.

        A conversation has it; what follows a response wants each function's call.
        """
        if not self.called and not in_conversation:
            yield {
                "type": "function_call",
                "call_id": fitting(self.wrapper.tool_call_id, MAX_CALL_ID),
                "name": fitting(self.wrapper.tool_name, MAX_OPENAI_NAME),
                "arguments": self.wrapper.input,
            }
        self.called = True

    def result(self) -> Iterator[Item]:
        """Yield its output, once."""
        if self.answered:
            return
        self.answered = True
        marks = [part_options(each.metadata).cache_breakpoint for each in self.results]
        texts = [_text(each) for each in self.results]
        output: object = "\n".join(texts)
        if any(marks):
            output = [
                {"type": "input_text", "text": f"\n{text}" if index else text, **mark}
                for index, (text, mark) in enumerate(zip(texts, marks, strict=True))
            ]
        call_id = fitting(self.wrapper.tool_call_id, MAX_CALL_ID)
        yield {"type": "function_call_output", "call_id": call_id, "output": output}


def _text(result: ModelToolResult) -> str:
    items = result_items(result)
    return result_text(result) if items is None else msgspec.json.encode(items).decode()


_decoder: Final = msgspec.json.Decoder(Wrapper)


def wrapper_of(metadata: Metadata) -> Wrapper | None:
    """Return which wrapper a call or a result came out of."""
    raw = part_options(metadata).parallel_tool_call
    try:
        wrapper = _decoder.decode(raw)
    except UNREADABLE:
        return None
    return wrapper if 0 <= wrapper.index < wrapper.count else None


class Wrappers:
    """The wrappers of a history that can be put together."""

    def __init__(self, messages: Iterable[ModelMessage] = ()) -> None:
        """Look for their results. Without messages, there are none."""
        found: dict[str, tuple[Wrapper, dict[int, ModelToolResult]]] = {}
        broken: set[str] = set()
        results = (
            part
            for message in messages
            if isinstance(message, ToolMessage)
            for part in message.content
            if isinstance(part, ModelToolResult)
        )
        for part in results:
            wrapper = wrapper_of(part.metadata)
            if wrapper is None:
                continue
            known, of_it = found.setdefault(wrapper.tool_call_id, (wrapper, {}))
            if not known.is_same(wrapper) or wrapper.index in of_it:
                broken.add(wrapper.tool_call_id)
                continue
            of_it[wrapper.index] = part
            if known.input is None and wrapper.input is not None:
                found[wrapper.tool_call_id] = wrapper, of_it
        self._together = {
            call_id: Together(wrapper, [of_it[index] for index in range(wrapper.count)])
            for call_id, (wrapper, of_it) in found.items()
            if call_id not in broken and wrapper.input is not None and len(of_it) == wrapper.count
        }

    def of(self, metadata: Metadata) -> Together | None:
        """Return the wrapper of a call or a result, None if it stays alone."""
        wrapper = wrapper_of(metadata) if self._together else None
        together = None if wrapper is None else self._together.get(wrapper.tool_call_id)
        if wrapper is None or together is None or not together.wrapper.is_same(wrapper):
            return None
        return together
