"""Model messages as the Messages API's: roles, merging, and blocks in the order it wants.

Source: @ai-sdk/anthropic 4.0.105, `convert-to-anthropic-prompt.ts`. Where it would send
what the API refuses (an empty message, a call without its result, a thought with nothing
after it), that is left out: a stopped run must not spoil the conversation.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import UNSET, Struct

from midstream.protocol.codec import UNREADABLE
from midstream.providers.anthropic.prompt.files import cited_document, file_block, result_blocks
from midstream.providers.anthropic.prompt.hosted_calls import (
    Block,
    call_block,
    caller_field,
    decoded,
    result_block,
)
from midstream.providers.anthropic.prompt.options import CacheMarks, anthropic_options
from midstream.providers.conversation.call_names import MAX_ANTHROPIC_NAME, MAX_CALL_ID, fitting
from midstream.providers.conversation.json_text import stringified
from midstream.providers.conversation.messages import (
    AssistantMessage,
    ModelCustom,
    ModelMessage,
    ModelReasoning,
    ModelText,
    ModelToolCall,
    ModelToolResult,
    SystemMessage,
    ToolMessage,
    UserMessage,
)
from midstream.providers.conversation.outputs import content_parts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from midstream.providers.anthropic.stream.citations import CitedDocument
    from midstream.providers.anthropic.tool_names import ToolNames
    from midstream.providers.conversation.files import ModelFile

_MID_SYSTEM_BETA: Final = "mid-conversation-system-2026-04-07"
_FALLBACK_BETA: Final = "server-side-fallback-2026-06-01"
_COMPACTION_BETA: Final = "compact-2026-09-04"

NOTHING_SHOWN: Final = "[The message before holds nothing that this model can be shown.]"

_THOUGHTS: Final = ("thinking", "redacted_thinking")


class PromptMessage(Struct):
    """A message of the request."""

    role: str
    content: list[Block]


class ModelConversation:
    """Converts a conversation, message by message.

    Args:
        names: of tools.
        unsigned: whether thoughts without a signature are sent, too.

    Attributes:
        system: the system prompt's blocks.
        messages: the request's messages.
        betas: those that its blocks need.
        documents: the files that citations may point at, in order.
        marks: the cache marks that its blocks have taken.
    """

    def __init__(self, names: ToolNames, *, unsigned: bool = False) -> None:
        """Begin with nothing said."""
        self.system: list[Block] = []
        self.messages: list[PromptMessage] = []
        self.betas: set[str] = set()
        self.documents: list[CitedDocument] = []
        self._names = names
        self._unsigned = unsigned
        self.marks = CacheMarks()
        self._last_user_index = -1
        self._called: set[str] = set()

    def add(self, history: Sequence[ModelMessage]) -> None:
        """Take the whole history, oldest first."""
        for position, (role, group) in enumerate(groupby(history, _role)):
            if role == "system":
                self._add_system(list(group), first=position == 0)  # type: ignore[arg-type]
            elif role == "user":
                self._add_user(group)
            else:
                self._add_assistant(group)
        self._trim_last_text(history)
        self._drop_lost_callers()
        if self.messages and self.messages[0].role == "assistant":
            # The API wants a person's first, and theirs held nothing that it takes.
            self.messages.insert(
                0, PromptMessage("user", [{"type": "text", "text": NOTHING_SHOWN}])
            )

    # --- system and user --------------------------------------------------------------------

    def _add_system(self, group: Sequence[SystemMessage], *, first: bool) -> None:
        blocks: list[Block] = [
            {"type": "text", "text": message.text}
            | self.marks.of(anthropic_options(message.metadata))
            for message in group
        ]
        if first or not self.system:
            self.system = blocks
            return
        self.betas.add(_MID_SYSTEM_BETA)
        self.messages += [PromptMessage("system", [block]) for block in blocks]

    def _add_user(self, group: Iterable[ModelMessage]) -> None:
        content: list[Block] = []
        for message in group:
            if isinstance(message, UserMessage):
                self._last_user_index = len(self.messages)
                content += [self._user_block(part) for part in message.content]
            elif isinstance(message, ToolMessage):
                # Others are refusals of calls that another provider was to execute.
                content += [
                    self._tool_result(part)
                    for part in message.content
                    if isinstance(part, ModelToolResult) and part.call_id in self._called
                ]
        if content:
            self.messages.append(PromptMessage("user", content))

    def _user_block(self, part: ModelText | ModelFile) -> Block:
        options = anthropic_options(part.metadata)
        mark = self.marks.of(options)
        if isinstance(part, ModelText):
            return {"type": "text", "text": part.text} | mark
        block, betas = file_block(part, options)
        self.betas |= betas
        if (document := cited_document(part, options)) is not None:
            self.documents.append(document)
        return block if block["type"] == "container_upload" else block | mark

    def _tool_result(self, result: ModelToolResult) -> Block:
        options = anthropic_options(result.metadata)
        call_id = fitting(result.call_id, MAX_CALL_ID)
        block: Block = {"type": "tool_result", "tool_use_id": call_id}
        toolset = self._names.toolsets.get(result.name, options.toolset_name)
        if toolset is not None:
            block["toolset_name"] = toolset
        if result.kind == "content" and result.value is not UNSET:
            block["content"], betas = result_blocks(content_parts(result.value))
            self.betas |= betas
        else:
            block["content"] = _result_text(result)
        if result.kind.startswith("error"):
            block["is_error"] = True
        return block | self.marks.of(options)

    # --- assistant --------------------------------------------------------------------------

    def _add_assistant(self, group: Iterable[ModelMessage]) -> None:
        content: list[Block] = []
        self._called = set()
        for message in group:
            if isinstance(message, AssistantMessage):
                content += self._step(message)
        _drop_last_thoughts(content)
        if content:
            self.messages.append(PromptMessage("assistant", _calls_last(content)))

    def _step(self, message: AssistantMessage) -> list[Block]:
        blocks: list[Block] = []
        hosted: dict[str, tuple[ModelToolCall, Block]] = {}
        for part in message.content:
            options = anthropic_options(part.metadata)
            if isinstance(part, ModelText):
                if part.text:
                    blocks.append(self._said(part))
            elif isinstance(part, ModelReasoning):
                if options.signature:
                    blocks.append(_thinking(part.text, options.signature))
                elif options.redacted_data is not None:
                    blocks.append({"type": "redacted_thinking", "data": options.redacted_data})
                elif self._unsigned and part.text and not part.is_cut:
                    blocks.append(_thinking(part.text, ""))
            elif isinstance(part, ModelCustom):
                if part.kind == "anthropic.fallback" and options.from_ and options.to:
                    self.betas.add(_FALLBACK_BETA)
                    blocks.append({"type": "fallback", "from": options.from_, "to": options.to})
            elif isinstance(part, ModelToolCall):
                if not part.provider_executed:
                    self._called.add(part.call_id)
                    blocks.append(self._tool_use(part))
                elif (block := call_block(part, self._names)) is None:
                    continue
                elif part.is_open:
                    blocks.append(block | self.marks.of(options))
                else:
                    hosted[part.call_id] = part, block
            elif isinstance(part, ModelToolResult) and part.call_id in hosted:
                blocks += self._hosted_pair(*hosted.pop(part.call_id), part)
        return blocks

    def _said(self, part: ModelText) -> Block:
        options = anthropic_options(part.metadata)
        block: Block
        if options.type == "compaction":
            block = {"type": "compaction", "content": part.text}
            if options.signature is not None:
                self.betas.add(_COMPACTION_BETA)
                block["signature"] = options.signature
        else:
            block = {"type": "text", "text": part.text}
            if (citations := _citations(options.citations)) is not None:
                block["citations"] = citations
        return block | self.marks.of(options)

    def _tool_use(self, call: ModelToolCall) -> Block:
        options = anthropic_options(call.metadata)
        given = _tool_input(decoded(call.input))
        call_id, name = fitting(call.call_id, MAX_CALL_ID), fitting(call.name, MAX_ANTHROPIC_NAME)
        block: Block = {"type": "tool_use", "id": call_id, "name": name}
        toolset = self._names.toolsets.get(call.name, options.toolset_name)
        if toolset is not None:
            action = given.get("action")
            block["name"] = fitting(
                action if isinstance(action, str) else toolset, MAX_ANTHROPIC_NAME
            )
            block["toolset_name"] = toolset
        block["input"] = given
        return block | caller_field(options) | self.marks.of(options)

    def _hosted_pair(
        self, call: ModelToolCall, call_part: Block, result: ModelToolResult
    ) -> list[Block]:
        mcp = call_part["type"] == "mcp_tool_use"
        result_part = result_block(result, self._names, mcp=mcp)
        if result_part is None:
            return []
        return [
            call_part | self.marks.of(anthropic_options(call.metadata)),
            result_part | self.marks.of(anthropic_options(result.metadata)),
        ]

    # --- the whole --------------------------------------------------------------------------

    def _trim_last_text(self, history: Sequence[ModelMessage]) -> None:
        """Trim a text that the model is to continue: the API refuses blanks at its end."""
        if not history or not isinstance(history[-1], AssistantMessage) or not self.messages:
            return
        content = self.messages[-1].content
        text = content[-1].get("text")
        if isinstance(text, str):
            content[-1]["text"] = text.strip()
            if not content[-1]["text"]:
                content.pop()
                _drop_last_thoughts(content)
        if not content:
            self.messages.pop()

    def _drop_lost_callers(self) -> None:
        """Forget callers in earlier turns whose code is no longer in the conversation."""
        said = [message for message in self.messages if message.role == "assistant"]
        code = {
            block["id"]
            for message in said
            for block in message.content
            if block["type"] == "server_tool_use" and block["name"] == "code_execution"
        }
        for message in self.messages[: max(self._last_user_index, 0)]:
            for block in message.content if message.role == "assistant" else ():
                caller: Any = block.get("caller")
                if caller and caller["type"] != "direct" and caller["tool_id"] not in code:
                    del block["caller"]


def _drop_last_thoughts(content: list[Block]) -> None:
    while content and content[-1]["type"] in _THOUGHTS:
        content.pop()


def _role(message: ModelMessage) -> str:
    if isinstance(message, SystemMessage):
        return "system"
    return "assistant" if isinstance(message, AssistantMessage) else "user"


def _citations(value: Any) -> list[Any] | None:
    """Return citations as the API made them; None if somebody else did."""
    if not isinstance(value, list):
        return None
    whole = all(isinstance(each, dict) and isinstance(each.get("type"), str) for each in value)
    return value if whole else None


def _thinking(text: str, signature: str) -> Block:
    return {"type": "thinking", "thinking": text, "signature": signature}


def _tool_input(value: Any) -> dict[str, Any]:
    """Return an input as the object that the API wants, even of a call that failed."""
    if isinstance(value, str):
        try:
            parsed = msgspec.json.decode(value)
        except UNREADABLE:
            parsed = None
        if isinstance(parsed, dict):
            return parsed
    return value if isinstance(value, dict) else {"rawInvalidInput": value}


def _result_text(result: ModelToolResult) -> str:
    if result.kind == "execution-denied":
        return result.text() or "Tool call execution denied."
    if result.kind in ("text", "error-text"):
        return result.text()
    return "null" if result.value is UNSET else stringified(result.value)


def _calls_last(content: Sequence[Block]) -> list[Block]:
    """Move calls behind what was said between two thoughts: results must follow them."""
    ordered: list[Block] = []
    segment: list[Block] = []
    for block in content:
        if block["type"] in (*_THOUGHTS, "fallback"):
            ordered += sorted(segment, key=_is_call)
            segment = []
            ordered.append(block)
        else:
            segment.append(block)
    return ordered + sorted(segment, key=_is_call)


def _is_call(block: Block) -> bool:
    return block["type"] == "tool_use"
