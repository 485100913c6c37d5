"""A step as a Chat Completions request to a server that is not OpenAI's.

Plain fields, whatever the model is called. The model's thinking goes back: to where the server
has it, because some refuse a call whose thought is missing, and others a field that they do not
know.

Source: @ai-sdk/openai-compatible 3.0.92, `chat/convert-to-openai-compatible-chat-messages.ts` and
`chat/openai-compatible-chat-language-model.ts`. Deviations: a file that the API does not take
becomes a note to the model, and what is no object is no call's input, what cannot be a function's
name is none, and what a provider has executed is no call; each would fail this request and every
later one. A file's address is sent as it is. See `Dialect` for thinking.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from midstream.protocol.codec import UNREADABLE
from midstream.providers.conversation.call_names import MAX_OPENAI_NAME, fitting, readable
from midstream.providers.conversation.files import ModelFile, omission_note
from midstream.providers.conversation.json_text import stringified
from midstream.providers.conversation.messages import (
    AssistantMessage,
    ModelReasoning,
    ModelText,
    ModelToolCall,
    ModelToolResult,
    SystemMessage,
    ToolMessage,
    UserMessage,
    model_messages,
)
from midstream.providers.openai.results import result_text
from midstream.providers.openai_chat.prompt import (
    AUDIO_FORMATS,
    begun_request,
    call_arguments,
    called_in,
)

if TYPE_CHECKING:
    from collections.abc import Collection

    from midstream.protocol.chunks import Json
    from midstream.providers.base import StepRequest
    from midstream.providers.openai_chat.compatible.dialect import Dialect

_Json = dict[str, Any]


class _Signed(Struct, rename="camel"):
    thought_signature: str | None = None


class _Thought(Struct):
    reasoning_details: list[Raw] | None = None


_metadata_decoder: Final = msgspec.json.Decoder(dict[str, Raw])
_fields_decoder: Final = msgspec.json.Decoder(dict[str, Any])
_signed_decoder: Final = msgspec.json.Decoder(_Signed)
_thought_decoder: Final = msgspec.json.Decoder(_Thought)


def compatible_request(request: StepRequest, dialect: Dialect) -> bytes:
    """Return the body of `POST /chat/completions` for a step, as JSON."""
    body = begun_request(request, _messages(request, dialect), lambda schema: schema)
    level = request.parameters.get("reasoning")
    if level is not None and level != "provider-default":
        body["reasoning_effort"] = level
    wanted = request.parameters.get("response_format")
    if isinstance(wanted, dict) and wanted.get("type") == "json":
        # Few take a schema; for one that does, `provider_options` say so.
        body["response_format"] = {"type": "json_object"}
    body |= request.provider_options
    return msgspec.json.encode(body)


def _messages(request: StepRequest, dialect: Dialect) -> list[_Json]:
    messages: list[_Json] = []
    if request.system is not None:
        messages.append({"role": "system", "content": request.system})
    declared = {tool.name for tool in request.tools}
    called: set[str] = set()
    for message in model_messages(request.messages):
        if isinstance(message, ToolMessage):
            messages += _tool(message, called)
            continue
        converted = _converted(message, dialect, declared)
        called = called_in(converted)
        messages += converted
    return messages


def _converted(
    message: SystemMessage | UserMessage | AssistantMessage,
    dialect: Dialect,
    declared: Collection[str],
) -> list[_Json]:
    if isinstance(message, SystemMessage):
        return [_extended({"role": "system", "content": message.text}, message.metadata)]
    if isinstance(message, UserMessage):
        return [_user(message, dialect)]
    return _assistant(message, dialect, declared)


# -- what a person sent


def _user(message: UserMessage, dialect: Dialect) -> _Json:
    first = message.content[0]
    if len(message.content) == 1 and isinstance(first, ModelText):
        return _extended({"role": "user", "content": first.text}, first.metadata)
    parts = [_extended(_content(part, dialect), part.metadata) for part in message.content]
    return {"role": "user", "content": parts}


def _content(part: ModelText | ModelFile, dialect: Dialect) -> _Json:
    if isinstance(part, ModelText):
        return {"type": "text", "text": part.text}
    converted = _file(part, dialect)
    return {"type": "text", "text": omission_note(part)} if converted is None else converted


def _file(part: ModelFile, dialect: Dialect) -> _Json | None:
    if part.references is not None:
        file_id = part.references.get(dialect.name)
        return None if file_id is None else {"type": "file", "file": {"file_id": file_id}}
    kind = part.top_level_type
    inline = part.base64 is not None
    if kind in ("image", "video"):
        address = part.data_url if inline else part.url
        return None if address is None else {"type": f"{kind}_url", f"{kind}_url": {"url": address}}
    if kind == "text":
        text = part.url if part.base64 is None else _decoded(part.base64)
        return None if text is None else {"type": "text", "text": text}
    if inline and part.media_type in AUDIO_FORMATS:
        audio = {"data": part.base64, "format": AUDIO_FORMATS[part.media_type]}
        return {"type": "input_audio", "input_audio": audio}
    if inline and part.media_type == "application/pdf":
        file = {"filename": part.filename or "document.pdf", "file_data": part.data_url}
        return {"type": "file", "file": file}
    return None


def _decoded(content: str) -> str | None:
    try:
        return base64.b64decode(content).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return None


# -- what the model said


def _assistant(
    message: AssistantMessage, dialect: Dialect, declared: Collection[str]
) -> list[_Json]:
    texts = [part.text for part in message.content if isinstance(part, ModelText)]
    thoughts = [part for part in message.content if isinstance(part, ModelReasoning)]
    calls = [
        _call(part, dialect, declared)
        for part in message.content
        # The API takes no result of a call that another provider has executed.
        if isinstance(part, ModelToolCall) and not part.provider_executed
    ]
    text = "".join(texts)
    if not text and not calls:
        return []
    converted: _Json = {"role": "assistant", "content": text or None}
    _add_thinking(converted, thoughts, dialect)
    if calls:
        converted["tool_calls"] = calls
    return [converted]


def _add_thinking(message: _Json, thoughts: list[ModelReasoning], dialect: Dialect) -> None:
    """Put what the model thought where the server has it."""
    thinking = "".join(part.text for part in thoughts)
    field = dialect.thinking
    if field == "none":
        return  # nor any details of it
    if field == "content":
        if thinking:
            said = message["content"]
            message["content"] = [
                {"type": "thinking", "thinking": [{"type": "text", "text": thinking}]},
                *([{"type": "text", "text": said}] if said else ()),
            ]
    elif thinking or dialect.always_thinking:
        message[field] = thinking
    if details := [detail for part in thoughts for detail in _details(part.metadata, dialect)]:
        message["reasoning_details"] = details


def _details(metadata: Json | UnsetType, dialect: Dialect) -> list[Raw]:
    own = _own(metadata, dialect.name)
    try:
        return [] if own is None else _thought_decoder.decode(own).reasoning_details or []
    except UNREADABLE:
        return []


def _call(part: ModelToolCall, dialect: Dialect, declared: Collection[str]) -> _Json:
    name = part.name if part.name in declared else fitting(part.name, MAX_OPENAI_NAME)
    function = {"name": name, "arguments": call_arguments(part)}
    call_id = readable(part.call_id)
    call = _extended({"id": call_id, "type": "function", "function": function}, part.metadata)
    for name in (dialect.name, "google"):
        if signature := _signature(part.metadata, name):
            call["extra_content"] = {"google": {"thought_signature": signature}}
            break
    return call


def _signature(metadata: Json | UnsetType, name: str) -> str | None:
    own = _own(metadata, name)
    try:
        return None if own is None else _signed_decoder.decode(own).thought_signature
    except UNREADABLE:
        return None


# -- results of tools


def _tool(message: ToolMessage, called: set[str]) -> list[_Json]:
    return [
        _result(part)
        for part in message.content
        if isinstance(part, ModelToolResult) and readable(part.call_id) in called
    ]


def _result(part: ModelToolResult) -> _Json:
    if part.kind == "error-text":
        text = part.text()
    elif part.kind == "error-json":
        text = "null" if part.value is UNSET else stringified(part.value)
    else:
        text = result_text(part)
    result = {"role": "tool", "tool_call_id": readable(part.call_id), "content": text}
    return _extended(result, part.metadata)


# -- metadata


def _own(metadata: Json | UnsetType, name: str) -> Raw | None:
    """Return what a part's metadata has under a name."""
    if metadata is UNSET:
        return None
    try:
        return _metadata_decoder.decode(metadata).get(name)
    except UNREADABLE:
        return None


def _extended(converted: _Json, metadata: Json | UnsetType) -> _Json:
    """Add the fields that a client or an agent wants beside ours: `cache_control`, and others."""
    own = _own(metadata, "openaiCompatible")
    try:
        return converted if own is None else _fields_decoder.decode(own) | converted
    except UNREADABLE:
        return converted
