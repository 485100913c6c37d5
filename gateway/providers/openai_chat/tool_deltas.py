"""Tool calls of a Chat Completions stream: which delta belongs to which call.

OpenAI gives each call an index, and its id and name in the first delta. Compatible servers
reuse indices, repeat names, change ids, or leave any of them out, so that the call is found
by what evidence there is. A delta that could belong to several calls is dropped.

A call is complete at the stream's end only: arguments that parse may still grow.

Source: @ai-sdk/provider-utils, `streaming-tool-call-tracker.ts` and
`streaming-tool-call-argument-state.ts`, as of @ai-sdk/openai 4.0.118.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from msgspec import UNSET, Struct, UnsetType, field

from midstream.protocol.chunks import AnyChunk, Json, ToolInputDeltaChunk
from midstream.providers.openai.parallel_calls import is_parallel_wrapper, wrapped_calls
from midstream.providers.stream.loose import Side

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from midstream.providers.conversation.tool_calls import ToolCalls

_CLOSING: Final = {"}": "{", "]": "["}


class FunctionDelta(Struct):
    """More of a call's name or arguments."""

    name: str | None = None
    arguments: str | None = None


class ToolCallDelta(Struct):
    """More of a call."""

    index: Side[int | None] = None
    id: Side[str | None] = None
    function: FunctionDelta | None = None


class _StreamedArguments(Struct):
    """Whether streamed arguments hold a complete object or array.

    By structure and not by parsing: a number that parses may be the start of a longer one.
    """

    text: str = ""
    stack: list[str] = field(default_factory=list)
    in_string: bool = False
    escaped: bool = False
    other: bool = False
    complete: bool = False

    def append(self, delta: str) -> None:
        self.text += delta
        for character in delta:
            if self.other or self.complete:
                return
            self._take(character)

    def _take(self, character: str) -> None:
        if self.in_string:
            if self.escaped:
                self.escaped = False
            elif character == "\\":
                self.escaped = True
            elif character == '"':
                self.in_string = False
        elif not self.stack:
            if character in "{[":
                self.stack.append(character)
            elif not character.isspace():
                self.other = True
        elif character == '"':
            self.in_string = True
        elif character in "{[":
            self.stack.append(character)
        elif character in _CLOSING:
            if self.stack.pop() != _CLOSING[character]:
                self.other = True
            else:
                self.complete = not self.stack


class _OpenCall(Struct):
    id: str
    name: str
    arguments: _StreamedArguments
    index: int | None = None
    wraps: bool = False
    wire_ids: set[str] = field(default_factory=set)
    indices: set[int] = field(default_factory=set)
    metadata: Json | UnsetType = UNSET


class _Ambiguous(Exception):
    """A delta that could belong to several calls."""


_Found: TypeAlias = "_OpenCall | None"


class ToolCallDeltas:
    """The calls of one step, found by their deltas.

    Args:
        new_id: makes ids for calls that have none, or another call's.
    """

    def __init__(self, calls: ToolCalls, new_id: Callable[[], str]) -> None:
        """Begin a step."""
        self._calls = calls
        self._new_id = new_id
        self._tracked: list[_OpenCall] = []
        self._used_ids: set[str] = set()

    def receive(self, delta: ToolCallDelta, metadata: Json | UnsetType = UNSET) -> list[AnyChunk]:
        """Take a delta and return its chunks.

        Args:
            metadata: of the call, if the delta begins one.

        Raises:
            ValueError: it begins a call without naming a function.
        """
        function = delta.function or FunctionDelta()
        wire_id = _non_blank(delta.id)
        name = _non_blank(function.name)
        text = function.arguments
        try:
            call = self._find(wire_id, delta.index, name, text)
        except _Ambiguous:
            return []
        if call is None:
            if function.name is not None and name is None:
                # Some servers repeat a blank name; it begins nothing.
                return []
            if name is None:
                raise ValueError("a tool call without a name")
            call, chunks = self._begin(wire_id, delta.index, name, text or "")
            call.metadata = metadata
        else:
            chunks = []
            if text is not None:
                call.arguments.append(text)
                if not call.wraps:
                    chunks.append(ToolInputDeltaChunk(tool_call_id=call.id, input_text_delta=text))
        if wire_id is not None:
            call.wire_ids.add(wire_id)
        if delta.index is not None:
            call.indices.add(delta.index)
        return chunks

    def complete(self, *, cut: bool) -> list[AnyChunk]:
        """Complete all calls, at the stream's end: by index if all have one, else as begun.

        Args:
            cut: the answer has no end: a call without arguments may have been about to get some,
                and stays open.
        """
        calls = [call for call in self._tracked if not cut or call.arguments.text.strip()]
        if all(call.index is not None for call in calls):
            calls = sorted(calls, key=lambda call: call.index or 0)
        chunks: list[AnyChunk] = []
        for call in calls:
            if call.wraps:
                chunks += self._opened(call)
            else:
                chunks.append(
                    self._calls.complete(
                        call.id, call.name, call.arguments.text, metadata=call.metadata
                    )
                )
        return chunks

    def _opened(self, wrapper: _OpenCall) -> list[AnyChunk]:
        """Return the calls inside a wrapper, which was held back; itself if it is none."""
        text = wrapper.arguments.text
        inside = [
            (f"{wrapper.id}_{index}", name, given)
            for index, (name, given) in enumerate(wrapped_calls(text, self._calls.declared))
        ]
        chunks: list[AnyChunk] = []
        for call_id, name, given in inside or [(wrapper.id, wrapper.name, text)]:
            chunks.append(self._calls.start(call_id, name))
            if given:
                chunks.append(ToolInputDeltaChunk(tool_call_id=call_id, input_text_delta=given))
            chunks.append(self._calls.complete(call_id, name, given, metadata=wrapper.metadata))
        return chunks

    def _begin(
        self, wire_id: str | None, index: int | None, name: str, text: str
    ) -> tuple[_OpenCall, list[AnyChunk]]:
        call_id = wire_id if wire_id is not None and wire_id not in self._used_ids else None
        call_id = call_id or self._new_id()
        self._used_ids.add(call_id)
        arguments = _StreamedArguments()
        arguments.append(text)
        wraps = is_parallel_wrapper(name, self._calls.declared)
        call = _OpenCall(call_id, name, arguments, index, wraps)
        self._tracked.append(call)
        if wraps:
            return call, []
        chunks: list[AnyChunk] = [self._calls.start(call_id, name)]
        if text:
            chunks.append(ToolInputDeltaChunk(tool_call_id=call_id, input_text_delta=text))
        return call, chunks

    def _find(
        self, wire_id: str | None, index: int | None, name: str | None, text: str | None
    ) -> _Found:
        """Return the call that a delta continues, or None if it begins one.

        What counts, in this order: a known id together with the index; the index; the name;
        and, with no label at all, that only one call is under way.

        Raises:
            _Ambiguous: several calls fit.
        """
        begins = name is not None and (text or "").lstrip()[:1] in ("{", "[")
        at_index = [call for call in self._tracked if index is not None and index in call.indices]
        matching = [call for call in at_index if name is None or call.name == name]
        known = [call for call in self._tracked if wire_id is not None and wire_id in call.wire_ids]
        if known:
            return self._find_by_id(known, matching, index, name, begins, at_index)
        if wire_id is not None:
            # An id that was not seen: a named start is a new call; a continuation may have
            # changed its id.
            if not matching or begins:
                return None
            return _choose(matching, name is not None and not (text or "").strip())
        if at_index:
            return _choose(matching, begins)
        if name is not None:
            return None
        return _choose(self._tracked, begins=False)

    def _find_by_id(
        self,
        known: list[_OpenCall],
        matching: list[_OpenCall],
        index: int | None,
        name: str | None,
        begins: bool,
        at_index: list[_OpenCall],
    ) -> _Found:
        if index is None:
            named = [call for call in known if name is None or call.name == name]
            return _choose(named, begins)
        both = _choose([call for call in matching if call in known], begins)
        if both is not None or name is not None:
            # Another index and a name: a new call, though its id repeats.
            return both
        if at_index:
            raise _Ambiguous
        return _choose(known, begins=False)


def _choose(calls: Iterable[_OpenCall], begins: bool) -> _Found:
    """Return the one call that the delta can continue, or None if there is none.

    Args:
        begins: the delta looks like the start of a call: it continues only a call whose
            arguments are not complete.
    """
    candidates = list(calls)
    if not candidates:
        return None
    if not begins and len(candidates) == 1:
        return candidates[0]
    unfinished = [call for call in candidates if not call.arguments.complete]
    if len(unfinished) == 1:
        return unfinished[0]
    if unfinished or not begins:
        raise _Ambiguous
    return None


def _non_blank(text: str | None) -> str | None:
    return text if text is not None and text.strip() else None
