"""The parts of a message that is being assembled.

Each part has the fields that the AI SDK's client has, as JSON by name; a field that is
`undefined` there is absent here. Growing strings are kept in pieces and joined on demand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec
from msgspec import UNSET, Raw, UnsetType

from midstream.protocol.partial_json import parse_partial

if TYPE_CHECKING:
    from midstream.protocol.chunks import (
        AnyChunk,
        Json,
        OpaqueChunk,
        ReasoningEndChunk,
        ReasoningStartChunk,
        TextEndChunk,
        TextStartChunk,
        ToolInputAvailableChunk,
        ToolInputStartChunk,
    )
    from midstream.protocol.messages import ToolState

Fields: TypeAlias = "dict[str, Json]"
"""A JSON object whose values stay undecoded."""

Value: TypeAlias = "Json | str | bool | UnsetType"

_encoder = msgspec.json.Encoder()
_fields_decoder = msgspec.json.Decoder(dict[str, Raw])
_string_decoder = msgspec.json.Decoder(str)

NULL: Final = b"null"

JOINED_DELTAS: Final = 64
"""Deltas that are joined into one string. Even a short delta is a string of 70 bytes or more:
joined, a run's text takes a third of the memory."""


def fields_of(raw: bytes | Raw) -> Fields:
    """Read a JSON object, one level deep."""
    return _fields_decoder.decode(raw)


def json_of(value: object) -> Json:
    """Return a value as JSON text."""
    return value if isinstance(value, Raw) else Raw(_encoder.encode(value))


def string_of(json: Json) -> str:
    """Read a JSON string."""
    return _string_decoder.decode(json)


def fields_from(
    kind: str,
    chunk: TextStartChunk | TextEndChunk | ReasoningStartChunk | ReasoningEndChunk,
    **values: Value,
) -> Fields:
    """Return the fields that a chunk gives a text or reasoning part."""
    values = {"type": kind, "providerMetadata": chunk.provider_metadata, **values}
    return {name: json_of(value) for name, value in values.items() if value is not UNSET}


def kept_from(chunk: ToolInputStartChunk | ToolInputAvailableChunk) -> dict[str, Value]:
    """Return the fields of a tool part that outlast the state that set them."""
    return {
        "title": chunk.title,
        "toolMetadata": chunk.tool_metadata,
        "providerExecuted": chunk.provider_executed,
    }


def merge(base: Json | UnsetType, overrides: Json | UnsetType) -> Json | UnsetType:
    """Merge two objects as the AI SDK merges metadata: deep, arrays replaced.

    Source: `mergeObjects` in ai 7.0.173, `src/util/merge-objects.ts`.
    """
    if overrides is UNSET or bytes(overrides) == NULL:
        return base
    if base is UNSET or not (_is_object(base) and _is_object(overrides)):
        return overrides
    merged = fields_of(base)
    for key, value in fields_of(overrides).items():
        if key in ("__proto__", "constructor", "prototype"):
            continue
        old = merged.get(key)
        both_objects = old is not None and _is_object(old) and _is_object(value)
        merged[key] = json_of(merge(old, value)) if old is not None and both_objects else value
    return json_of(merged)


def _is_object(json: Json) -> bool:
    return bytes(json).lstrip().startswith(b"{")


class TextSoFar:
    """A text or reasoning part.

    Attributes:
        key: the id that chunks name it by.
        fields: all but its text.
    """

    __slots__ = ("_joined", "_tail", "fields", "key")

    def __init__(self, key: str, fields: Fields) -> None:
        self.key = key
        text = fields.pop("text", None)
        self.fields = fields
        self._joined = [] if text is None else [string_of(text)]
        self._tail: list[str] = []

    def append(self, delta: str) -> None:
        """Add to the text."""
        tail = self._tail
        tail.append(delta)
        if len(tail) == JOINED_DELTAS:
            self._joined.append("".join(tail))
            tail.clear()

    @property
    def text(self) -> str:
        """The text so far."""
        text = "".join([*self._joined, *self._tail])
        self._joined[:] = (text,)
        self._tail.clear()
        return text

    @property
    def done(self) -> bool:
        """Whether the part was closed."""
        return bytes(self.fields.get("state", b"")) == b'"done"'

    def json(self) -> Json:
        """Return the part."""
        return json_of({**self.fields, "text": self.text})


class InputSoFar:
    """A streaming tool input: its opening chunk, and its text in pieces."""

    __slots__ = ("pieces", "start")

    def __init__(self, start: ToolInputStartChunk) -> None:
        self.start = start
        self.pieces: list[str] = []


_REPLACED: Final = ("input", "output", "errorText", "rawInput", "inputEncoding", "preliminary")
_KEPT: Final = ("title", "toolMetadata", "providerExecuted")
_RESULT_STATES: Final = frozenset({"output-available", "output-error"})


class ToolSoFar:
    """A tool part.

    Attributes:
        dynamic: whether it is a `dynamic-tool`, not a `tool-NAME`.
        fields: all but `type`, `toolCallId`, `toolName` and `state`.
    """

    __slots__ = ("_seen", "_streaming", "call_id", "dynamic", "fields", "name", "state")

    def __init__(self, call_id: str, dynamic: bool) -> None:
        self.call_id = call_id
        self.dynamic = dynamic
        self.name = ""
        self.state: ToolState = "input-streaming"
        self.fields: Fields = {}
        self._streaming: InputSoFar | None = None
        self._seen = 0

    @classmethod
    def of(cls, fields: Fields) -> ToolSoFar:
        """Make one of a stored tool part's fields."""
        kind = string_of(fields.pop("type"))
        part = cls(string_of(fields.pop("toolCallId")), dynamic=kind == "dynamic-tool")
        part.name = string_of(fields.pop("toolName")) if part.dynamic else kind[len("tool-") :]
        part.state = msgspec.json.decode(fields.pop("state"))
        part.fields = fields
        return part

    def update(
        self, name: str, state: ToolState, provider_metadata: Value = UNSET, **values: Value
    ) -> None:
        """Set the part's state, as the client's `updateToolPart` does.

        Args:
            name: the tool's.
            state: the new one.
            provider_metadata: of the call, or of its result in a state that has one.
            values: fields of the part by their wire names. Those in `_REPLACED` are
                removed if not given; those in `_KEPT` stay unchanged.
        """
        self.name = name
        self.state = state
        self._streaming = None
        fields = self.fields
        for field in _REPLACED:
            if (value := values.get(field, UNSET)) is UNSET:
                fields.pop(field, None)
            else:
                fields[field] = json_of(value)
        for field in _KEPT:
            if (value := values.get(field, UNSET)) is not UNSET:
                fields[field] = json_of(value)
        if provider_metadata is not UNSET:
            side = "result" if state in _RESULT_STATES else "call"
            fields[f"{side}ProviderMetadata"] = json_of(provider_metadata)

    def stream(self, streaming: InputSoFar) -> None:
        """Show the input that has arrived so far."""
        if self._streaming is not streaming or self.state != "input-streaming":
            start = streaming.start
            self.update(
                start.tool_name,
                "input-streaming",
                inputEncoding=start.input_encoding,
                title=start.title,
                toolMetadata=start.tool_metadata,
            )
            self._streaming = streaming
        self._seen = len(streaming.pieces)

    def settle(self) -> Fields:
        """Put the streamed input into the fields, and return them."""
        streaming = self._streaming
        if streaming is not None:
            text = "".join(streaming.pieces[: self._seen])
            is_text = streaming.start.input_encoding == "text"
            given = json_of(text) if is_text else parse_partial(text)
            if given is UNSET:
                self.fields.pop("input", None)
            else:
                self.fields["input"] = given
            self.fields["rawInput"] = json_of(text)
        return self.fields

    def json(self) -> Json:
        """Return the part."""
        kind = "dynamic-tool" if self.dynamic else f"tool-{self.name}"
        name = {"toolName": self.name} if self.dynamic else {}
        head = {"type": kind, **name, "toolCallId": self.call_id, "state": self.state}
        return json_of(head | self.settle())


class DataSoFar:
    """A `data-*` part: its first chunk, with the data of the last."""

    __slots__ = ("_fields", "id", "kind")

    def __init__(self, chunk: OpaqueChunk) -> None:
        self.kind = chunk.type
        self.id = chunk.id
        self._fields = fields_of(chunk.raw)

    def replace(self, newer: OpaqueChunk) -> None:
        """Take the data of a later chunk."""
        self._fields.pop("data", None)
        if (data := fields_of(newer.raw).get("data")) is not None:
            self._fields["data"] = data

    def json(self) -> Json:
        """Return the part, which has the shape of its chunk."""
        return json_of(self._fields)


class Whole:
    """A part that one chunk makes and no other changes.

    Attributes:
        chunk: that chunk, or None if no chunk makes such a part.
    """

    __slots__ = ("_json", "chunk")

    def __init__(self, chunk: AnyChunk | None, json: Json) -> None:
        self.chunk = chunk
        self._json = json

    def json(self) -> Json:
        """Return the part."""
        return self._json


class StepStart:
    """The beginning of a step."""

    __slots__ = ()

    def json(self) -> Json:
        """Return the part."""
        return Raw(b'{"type":"step-start"}')


class StepEnd:
    """The end of a step; not a part, but a replay needs its place."""

    __slots__ = ()


PartSoFar: TypeAlias = TextSoFar | ToolSoFar | DataSoFar | Whole | StepStart
