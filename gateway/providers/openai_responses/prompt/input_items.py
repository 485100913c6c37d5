"""A step as a Responses request: its input, item by item.

What the provider stored of an earlier response is referred to by id; function calls and
their results are always sent whole, because a result finds its call by `call_id` only. A
response that was cut short was not stored: it is sent as text.

Source: @ai-sdk/openai 4.0.118, `responses/convert-to-openai-responses-input.ts`. Deviation:
a file that the API does not take becomes a note to the model; it would fail this request
and every later one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET, Struct, structs

from midstream.protocol.codec import UNREADABLE
from midstream.providers.conversation.call_names import MAX_CALL_ID, MAX_OPENAI_NAME, fitting
from midstream.providers.conversation.files import ModelFile, omission_note
from midstream.providers.conversation.json_text import stringified
from midstream.providers.conversation.messages import (
    AssistantContent,
    AssistantMessage,
    ModelApprovalResponse,
    ModelCustom,
    ModelMessage,
    ModelReasoning,
    ModelText,
    ModelToolCall,
    ModelToolResult,
    SystemMessage,
    ToolMessage,
    UserMessage,
    model_messages,
)
from midstream.providers.openai.options import PartOptions, part_options
from midstream.providers.openai.results import result_items, result_text
from midstream.providers.openai_responses.prompt.hosted_calls import (
    client_result,
    hosted_result,
    provider_call,
)
from midstream.providers.openai_responses.prompt.parallel_calls import Wrappers
from midstream.providers.openai_responses.prompt.plain_items import plain_step
from midstream.providers.openai_responses.prompt.tools import (
    ANSWERED_KINDS,
    CLIENT_KINDS,
    DEFERRING_KINDS,
    REBUILT_HOSTED_KINDS,
    REBUILT_KINDS,
    DeclaredTools,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from midstream.providers.base import StepRequest

Item = dict[str, object]


class InputSettings(Struct, frozen=True, kw_only=True):
    """Settings of the form in which the history is sent.

    Attributes:
        store: the provider stores responses, so that items can be referred to.
        in_conversation: the provider keeps the history: items with ids are there already.
        after_response: as far as a response that the request names.
        plain: the server keeps nothing, and wants each item to say what it is.
        wrappers: calls that the provider knows as one.
    """

    tools: DeclaredTools
    system_role: str
    reasons: bool
    store: bool
    in_conversation: bool = False
    after_response: bool = False
    plain: bool = False
    wrappers: Wrappers = Wrappers()


def responses_input(request: StepRequest, settings: InputSettings) -> list[Item]:
    """Return the request's `input`."""
    items: list[Item] = []
    if request.system is not None:
        items.append({"role": settings.system_role, "content": request.system})
    answered: set[str] = set()
    messages = model_messages(request.messages)
    odd = frozenset(_odd_results(messages, settings.tools))
    if not settings.plain and (settings.in_conversation or settings.after_response):
        settings = structs.replace(settings, wrappers=Wrappers(messages))
    for message in messages:
        if isinstance(message, SystemMessage):
            items.append(_system(message, settings))
        elif isinstance(message, UserMessage):
            content = [_content(part, index) for index, part in enumerate(message.content)]
            items.append({"role": "user", "content": content})
        elif isinstance(message, AssistantMessage):
            items += _said(message, settings, odd)
        else:
            for part in message.content:
                if isinstance(part, ModelToolResult):
                    if _is_answered(part, settings, items):
                        items += _result(part, settings)
                elif not settings.plain and part.approval_id not in answered:
                    answered.add(part.approval_id)
                    items += _approval(part, settings)
    if settings.plain:
        return [{"type": "message", **item} if "role" in item else item for item in items]
    if settings.store:
        return items
    return [item for item in items if item.get("type") != "reasoning" or _is_encrypted(item)]


def _said(
    message: AssistantMessage, settings: InputSettings, odd: frozenset[str]
) -> Iterator[Item]:
    if not settings.plain:
        return _AssistantInput(settings, message, odd).items()
    return plain_step(message, lambda part, options: _function_call(part, options, None))


def _odd_results(messages: Iterable[ModelMessage], tools: DeclaredTools) -> Iterator[str]:
    """Yield the ids of the provider's calls whose result is not what their tool answers.

    It can be sent as a function's output only, and its call as that function's.
    """
    for message in messages:
        for part in message.content if isinstance(message, ToolMessage) else ():
            if isinstance(part, ModelToolResult):
                kind = tools.kind_of(part.name)
                if kind in ANSWERED_KINDS and client_result(kind, part) is None:
                    yield part.call_id


def _is_answered(result: ModelToolResult, settings: InputSettings, items: Iterable[Item]) -> bool:
    """Whether a result has its call: a refused one that the provider was to execute has none."""
    if result.kind != "execution-denied" or settings.wrappers.of(result.metadata) is not None:
        return True
    call_id = fitting(result.call_id, MAX_CALL_ID)
    return any(item.get("call_id") == call_id for item in items)


def _is_encrypted(item: Item) -> bool:
    return item.get("encrypted_content") is not None


def _reference(item_id: str) -> Item:
    return {"type": "item_reference", "id": item_id}


def _system(message: SystemMessage, settings: InputSettings) -> Item:
    cache_breakpoint = part_options(message.metadata).cache_breakpoint
    content: object = message.text
    if cache_breakpoint:
        content = [{"type": "input_text", "text": message.text, **cache_breakpoint}]
    return {"role": settings.system_role, "content": content}


def _content(part: ModelText | ModelFile, index: int) -> Item:
    options = part_options(part.metadata)
    if isinstance(part, ModelText):
        return {"type": "input_text", "text": part.text, **options.cache_breakpoint}
    converted = _file(part, index)
    if converted is None:
        converted = {"type": "input_text", "text": omission_note(part)}
    elif converted["type"] == "input_image" and options.image_detail is not None:
        converted["detail"] = options.image_detail
    return {**converted, **options.cache_breakpoint}


def _file(part: ModelFile, index: int) -> Item | None:
    is_image = part.top_level_type == "image"
    if part.references is not None:
        file_id = part.references.get("openai")
        if file_id is None:
            return None
        return {"type": "input_image" if is_image else "input_file", "file_id": file_id}
    if part.url is not None:
        if is_image:
            return {"type": "input_image", "image_url": part.url}
        return {"type": "input_file", "file_url": part.url}
    if part.base64 is None:
        return None
    if is_image:
        return {"type": "input_image", "image_url": part.data_url}
    if part.media_type != "application/pdf":
        return None
    name = part.filename or f"part-{index}.pdf"
    return {"type": "input_file", "filename": name, "file_data": part.data_url}


class _AssistantInput:
    """One step of the model's, as input items."""

    def __init__(
        self, settings: InputSettings, message: AssistantMessage, odd: frozenset[str]
    ) -> None:
        """Begin a step. `odd`: see `_odd_results`."""
        self._odd = odd
        self._settings = settings
        self._content = message.content
        self._refers = settings.store and message.finished
        self._finished = message.finished
        self._reasoning: dict[str, Item] = {}
        self._summaries: dict[str, list[dict[str, str]]] = {}
        self._referred: set[str] = set()
        self._has_reasoning = False

    def items(self) -> Iterator[Item]:
        """Yield the step's items, in order."""
        for part in self._content:
            yield from self._converted(part, part_options(part.metadata))

    def _converted(self, part: AssistantContent, options: PartOptions) -> Iterator[Item]:
        if isinstance(part, ModelText):
            yield from self._text(part, options)
        elif isinstance(part, ModelReasoning):
            yield from self._reason(part, options)
        elif isinstance(part, ModelToolCall):
            yield from self._call(part, options)
        elif isinstance(part, ModelToolResult):
            yield from self._hosted(part, options)
        elif isinstance(part, ModelCustom) and part.kind == "openai.compaction":
            yield from self._compaction(options)

    def _text(self, part: ModelText, options: PartOptions) -> Iterator[Item]:
        item_id = options.item_id
        if self._settings.in_conversation and item_id is not None:
            return
        # A stored message of a reasoning model is bound to its reasoning item.
        if (
            self._refers
            and item_id is not None
            and (not self._settings.reasons or self._has_reasoning)
        ):
            if item_id not in self._referred:
                self._referred.add(item_id)
                yield _reference(item_id)
            return
        if not part.text:
            return
        item: Item = {"role": "assistant", "content": part.text}
        if options.phase is not None:
            item["phase"] = options.phase
        yield item

    def _reason(self, part: ModelReasoning, options: PartOptions) -> Iterator[Item]:
        self._has_reasoning = True
        settings = self._settings
        item_id, encrypted = options.item_id, options.reasoning_encrypted_content
        summary = [{"type": "summary_text", "text": part.text}] if part.text else []
        if item_id is None:
            if encrypted is not None:
                yield {"type": "reasoning", "encrypted_content": encrypted, "summary": summary}
            return
        if settings.in_conversation or settings.after_response or not self._finished:
            return
        known = self._reasoning.get(item_id)
        if known is None:
            if settings.store:
                self._reasoning[item_id] = {}
                yield _reference(item_id)
                return
            item: Item = {"type": "reasoning", "id": item_id, "summary": summary}
            item["encrypted_content"] = encrypted
            self._reasoning[item_id] = item
            self._summaries[item_id] = summary
            yield item
        elif not settings.store:
            # The last part of a summary carries the content.
            self._summaries[item_id] += summary
            if encrypted is not None:
                known["encrypted_content"] = encrypted

    def _call(self, part: ModelToolCall, options: PartOptions) -> Iterator[Item]:
        settings = self._settings
        item_id = options.item_id
        if (together := settings.wrappers.of(part.metadata)) is not None:
            yield from together.call(in_conversation=settings.in_conversation)
            return
        if settings.in_conversation and item_id is not None:
            return
        kind = settings.tools.kind_of(part.name)
        if part.is_open and kind not in DEFERRING_KINDS:
            return  # cut: it has no end to come
        stored = self._refers and item_id is not None
        if stored and kind in CLIENT_KINDS and settings.after_response:
            return
        if part.call_id in self._odd and not part.provider_executed:
            yield _function_call(part, options, None)
        elif stored and (part.provider_executed or kind in REBUILT_KINDS):
            yield _reference(item_id or "")
        elif part.provider_executed and kind not in REBUILT_HOSTED_KINDS:
            # Without its result the API takes none of these.
            return
        elif part.provider_executed and kind == "shell" and self._refers:
            return
        elif kind is not None and (rebuilt := provider_call(kind, part, options)) is not None:
            yield rebuilt
        else:
            yield _function_call(part, options, kind)

    def _hosted(self, part: ModelToolResult, options: PartOptions) -> Iterator[Item]:
        if self._settings.in_conversation or part.kind == "execution-denied":
            return
        kind = self._settings.tools.kind_of(part.name)
        item_id = options.item_id or part.call_id
        # A shell's output has an id of its own, which is not kept.
        if self._refers and kind != "shell":
            yield _reference(item_id)
        elif (rebuilt := hosted_result(kind, part, item_id)) is not None:
            yield rebuilt

    def _compaction(self, options: PartOptions) -> Iterator[Item]:
        if options.item_id is None or self._settings.in_conversation:
            return
        if self._refers:
            yield _reference(options.item_id)
        else:
            yield {
                "type": "compaction",
                "id": options.item_id,
                "encrypted_content": options.encrypted_content,
            }


def _function_call(part: ModelToolCall, options: PartOptions, kind: str | None) -> Item:
    arguments = "{}" if part.input is UNSET else stringified(part.input)
    if arguments.startswith('"'):
        # Input that did not parse was kept as a string; one that does is sent as it was.
        text = msgspec.json.decode(arguments, type=str)
        arguments = text if _is_json(text) else arguments
    item: Item = {
        "type": "function_call",
        "call_id": fitting(part.call_id, MAX_CALL_ID),
        "name": fitting(part.name, MAX_OPENAI_NAME) if kind is None or kind == "custom" else kind,
        "arguments": arguments,
    }
    if options.is_async is not None:
        item["async"] = options.is_async
    if options.namespace is not None:
        item["namespace"] = options.namespace
    if options.caller is not None:
        item["caller"] = _caller(options)
    return item


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except UNREADABLE:
        return False
    return True


def _caller(options: PartOptions) -> Item:
    caller = options.caller
    if caller is None or caller.type != "program" or caller.caller_id is None:
        return {"type": "direct"}
    return {"type": "program", "caller_id": caller.caller_id}


def _result(part: ModelToolResult, settings: InputSettings) -> Iterator[Item]:
    options = part_options(part.metadata)
    if (together := settings.wrappers.of(part.metadata)) is not None:
        yield from together.result()
        return
    kind = None if settings.plain else settings.tools.kind_of(part.name)
    rebuilt = client_result(kind, part)
    if rebuilt is not None:
        yield rebuilt
        return
    output: object = result_items(part)
    if output is None:
        output = result_text(part)
    if options.cache_breakpoint and isinstance(output, str):
        output = [{"type": "input_text", "text": output, **options.cache_breakpoint}]
    item: Item = {
        "type": "custom_tool_call_output" if kind == "custom" else "function_call_output",
        "call_id": part.call_id if kind == "custom" else fitting(part.call_id, MAX_CALL_ID),
        "output": output,
    }
    if kind != "custom" and options.caller is not None:
        item["caller"] = _caller(options)
    yield item


def _approval(part: ModelApprovalResponse, settings: InputSettings) -> Iterator[Item]:
    if settings.store and not settings.in_conversation and not settings.after_response:
        yield _reference(part.approval_id)
    yield {
        "type": "mcp_approval_response",
        "approval_request_id": part.approval_id,
        "approve": part.approved,
    }
