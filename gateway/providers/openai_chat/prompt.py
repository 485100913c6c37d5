"""A step as a Chat Completions request.

Source: @ai-sdk/openai 4.0.118, `chat/convert-to-openai-chat-messages.ts` and
`chat/openai-chat-language-model.ts`. Deviation: a file that the API does not take becomes a
note to the model; it would fail this request and every later one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import UNSET, Raw

from midstream.protocol.codec import UNREADABLE
from midstream.providers.conversation.call_names import MAX_CHAT_CALL_ID, MAX_OPENAI_NAME, fitting
from midstream.providers.conversation.files import ModelFile, omission_note
from midstream.providers.conversation.json_text import stringified
from midstream.providers.conversation.messages import (
    AssistantMessage,
    ModelText,
    ModelToolCall,
    ModelToolResult,
    SystemMessage,
    ToolMessage,
    UserMessage,
    model_messages,
)
from midstream.providers.openai.models import GptTraits, model_traits
from midstream.providers.openai.options import drop_sampling, part_options, renamed
from midstream.providers.openai.results import result_text
from midstream.providers.openai.schema import answer_schema, normalized_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from midstream.providers.base import StepRequest, ToolSpec

_Json = dict[str, object]

_PARAMETERS: Final = {
    "max_output_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "stop_sequences": "stop",
    "seed": "seed",
}
"""The AI SDK's names -> the API's."""

_NOT_FOR_REASONING: Final = (
    "frequency_penalty",
    "presence_penalty",
    "logit_bias",
    "top_logprobs",
)
AUDIO_FORMATS: Final = {"audio/wav": "wav", "audio/mp3": "mp3", "audio/mpeg": "mp3"}
_TOOL_CHOICES: Final = ("auto", "none", "required")


def chat_request(request: StepRequest) -> bytes:
    """Return the body of `POST /chat/completions` for a step, as JSON."""
    traits = model_traits(request.model)
    body = begun_request(request, _messages(request, traits), normalized_schema)
    effort = traits.effort(request.parameters.get("reasoning"), but="max")
    if effort is not None:
        body["reasoning_effort"] = effort
    if (asked := answer_schema(request.parameters)) is not None:
        kind, fields = asked
        body["response_format"] = {"type": kind, **({kind: fields} if fields else {})}
    if "tools" in body and traits.chat_tools_need_no_reasoning:
        body["reasoning_effort"] = "none"
    body |= request.provider_options
    drop_sampling(body, traits, body.get("reasoning_effort"), more=_NOT_FOR_REASONING)
    if traits.reasons and "max_tokens" in body:
        body.setdefault("max_completion_tokens", body["max_tokens"])
        del body["max_tokens"]
    if not traits.chat_temperature:
        body.pop("temperature", None)
    return msgspec.json.encode(body)


def sdk_prompt(request: StepRequest) -> dict[str, Any]:
    """Return the argument of `chat.completions.create` that says the conversation."""
    return {"messages": msgspec.json.decode(chat_request(request))["messages"]}


def begun_request(
    request: StepRequest, messages: list[_Json], schema_of: Callable[[Raw], object]
) -> _Json:
    """Return what all servers' requests have.

    Args:
        request: the step.
        messages: the conversation.
        schema_of: returns a tool's schema as the server takes it.
    """
    body: _Json = {
        "model": request.model,
        **renamed(request.parameters, _PARAMETERS),
        "messages": messages,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    functions = [tool for tool in request.tools if tool.provider_type is None]
    if functions:
        body["tools"] = [_function(tool, schema_of(tool.input_schema)) for tool in functions]
        body["tool_choice"] = _tool_choice(request.tool_choice or "auto")
    return body


def _function(tool: ToolSpec, parameters: object) -> _Json:
    function: _Json = {"name": tool.name, "parameters": parameters}
    if tool.description:
        function["description"] = tool.description
    if tool.options.strict is not None:
        function["strict"] = tool.options.strict
    return {"type": "function", "function": function}


def _tool_choice(name: str) -> object:
    return name if name in _TOOL_CHOICES else {"type": "function", "function": {"name": name}}


def _messages(request: StepRequest, traits: GptTraits) -> list[_Json]:
    messages: list[_Json] = []
    if request.system is not None:
        messages.append({"role": traits.system_role, "content": request.system})
    called: set[str] = set()
    for message in model_messages(request.messages):
        if isinstance(message, ToolMessage):
            messages += _tool(message, called)
            continue
        converted = _converted(message, traits)
        called = called_in(converted)
        messages += converted
    return messages


def called_in(messages: Sequence[Mapping[str, object]]) -> set[str]:
    """Return the ids of the calls of a step's messages: others' results fail the request."""
    calls = [message.get("tool_calls") for message in messages]
    return {call["id"] for each in calls if isinstance(each, list) for call in each}


def _converted(
    message: SystemMessage | UserMessage | AssistantMessage, traits: GptTraits
) -> list[_Json]:
    if isinstance(message, SystemMessage):
        breakpoint = part_options(message.metadata).cache_breakpoint
        content: object = message.text
        if breakpoint:
            content = [{"type": "text", "text": message.text, **breakpoint}]
        return [{"role": traits.system_role, "content": content}]
    if isinstance(message, UserMessage):
        return [_user(message)]
    return _assistant(message)


def _user(message: UserMessage) -> _Json:
    parts = message.content
    first = parts[0]
    alone = len(parts) == 1 and isinstance(first, ModelText)
    if alone and not part_options(first.metadata).cache_breakpoint:
        return {"role": "user", "content": first.text if isinstance(first, ModelText) else ""}
    return {"role": "user", "content": [_content(part, i) for i, part in enumerate(parts)]}


def _content(part: ModelText | ModelFile, index: int) -> _Json:
    options = part_options(part.metadata)
    if isinstance(part, ModelText):
        return {"type": "text", "text": part.text, **options.cache_breakpoint}
    converted: _Json | None = None
    if part.references is not None:
        if file_id := part.references.get("openai"):
            converted = {"type": "file", "file": {"file_id": file_id}}
    elif part.top_level_type == "image":
        converted = _image(part, options.image_detail)
    elif part.base64 is not None and part.media_type in AUDIO_FORMATS:
        audio = {"data": part.base64, "format": AUDIO_FORMATS[part.media_type]}
        converted = {"type": "input_audio", "input_audio": audio}
    elif part.base64 is not None and part.media_type == "application/pdf":
        file = {"filename": part.filename or f"part-{index}.pdf", "file_data": part.data_url}
        converted = {"type": "file", "file": file}
    converted = converted or {"type": "text", "text": omission_note(part)}
    return {**converted, **options.cache_breakpoint}


def _image(part: ModelFile, detail: str | None) -> _Json | None:
    url = part.url or (part.data_url if part.base64 is not None else None)
    if url is None:
        return None
    image = {"url": url} if detail is None else {"url": url, "detail": detail}
    return {"type": "image_url", "image_url": image}


def _assistant(message: AssistantMessage) -> list[_Json]:
    texts = [part for part in message.content if isinstance(part, ModelText)]
    calls = [
        _call(part)
        for part in message.content
        # The API takes no result of a call that another provider has executed.
        if isinstance(part, ModelToolCall) and not part.provider_executed
    ]
    text = "".join(part.text for part in texts)
    if not text and not calls:
        return []
    content: object = text or None
    if any(part_options(part.metadata).cache_breakpoint for part in texts):
        content = [
            {"type": "text", "text": part.text, **part_options(part.metadata).cache_breakpoint}
            for part in texts
        ]
    converted: _Json = {"role": "assistant", "content": content}
    if calls:
        converted["tool_calls"] = calls
    return [converted]


def call_arguments(part: ModelToolCall) -> str:
    """Return a call's input as the text of an object: others fail the request."""
    arguments = "{}" if part.input is UNSET else stringified(part.input)
    if arguments.startswith('"'):
        # Input that did not parse is kept as a string.
        arguments = msgspec.json.decode(arguments, type=str)
    return arguments if _is_object(arguments) else "{}"


def _call(part: ModelToolCall) -> _Json:
    function = {"name": fitting(part.name, MAX_OPENAI_NAME), "arguments": call_arguments(part)}
    call_id = fitting(part.call_id, MAX_CHAT_CALL_ID)
    return {"id": call_id, "type": "function", "function": function}


def _is_object(text: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except UNREADABLE:
        return False


def _tool(message: ToolMessage, called: set[str]) -> list[_Json]:
    return [
        _result(part)
        for part in message.content
        if isinstance(part, ModelToolResult) and fitting(part.call_id, MAX_CHAT_CALL_ID) in called
    ]


def _result(part: ModelToolResult) -> _Json:
    text = result_text(part)
    breakpoint = part_options(part.metadata).cache_breakpoint
    content: object = text
    if breakpoint:
        content = [{"type": "text", "text": text, **breakpoint}]
    call_id = fitting(part.call_id, MAX_CHAT_CALL_ID)
    return {"role": "tool", "tool_call_id": call_id, "content": content}
