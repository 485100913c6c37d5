"""Decodes AG-UI's `RunAgentInput` (1.0.0): a message of a person, or answers to calls of tools.

The client's copy of the conversation is not trusted, as with the AI SDK's: only what is new at its
end is read. What an application adds (`state`, `context`, `tools`, `forwardedProps`) goes to the
agent as the body of the request.
"""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING, Final, Literal

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from midstream.protocol.codec import UNREADABLE
from midstream.protocol.errors import MalformedFrameError
from midstream.protocol.messages import UIMessage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_KEPT: Final = ("state", "context", "tools", "forwardedProps")
_FILES: Final = ("image", "audio", "video", "document")


class _Source(Struct, rename="camel"):
    type: Literal["url", "data"]
    value: str
    mime_type: str = "application/octet-stream"


class _Part(Struct):
    type: str
    text: str = ""
    source: _Source | None = None


class _Message(Struct, rename="camel"):
    id: str
    role: str
    content: str | list[_Part] = ""
    tool_call_id: str = ""
    error: str | None = None


class _Resume(Struct, rename="camel"):
    interrupt_id: str
    status: Literal["resolved", "cancelled"]
    payload: Raw | UnsetType = UNSET


class _Input(Struct, rename="camel"):
    thread_id: str
    run_id: str
    messages: list[_Message]
    resume: list[_Resume] = []


class _Verdict(Struct):
    approved: bool = True
    reason: str | None = None


class _StoredPart(Struct, rename="camel"):
    type: str
    tool_call_id: str = ""
    state: str = ""
    approval: Raw | UnsetType = UNSET


class _StoredApproval(Struct):
    id: str = ""


_input: Final = msgspec.json.Decoder(_Input)
_fields: Final = msgspec.json.Decoder(dict[str, Raw])


class AgUiRequest:
    """One `RunAgentInput`.

    Attributes:
        thread_id: the session.
        run_id: of this send: the same one again is the same run.
        rest: what an application adds, as a JSON object.
        answers: whether it answers calls of tools; otherwise it is a message of a person.

    Raises:
        MalformedFrameError: not what AG-UI's clients send, or nothing that can be answered.
    """

    def __init__(self, body: bytes) -> None:
        try:
            read = _input.decode(body)
            fields = _fields.decode(body)
        except UNREADABLE as error:
            raise MalformedFrameError(f"unable to read the RunAgentInput; {error}") from None
        self.thread_id, self.run_id = read.thread_id, read.run_id
        self.rest = Raw(msgspec.json.encode({k: fields[k] for k in _KEPT if k in fields}))
        from_end = reversed(read.messages)
        self._results = {m.tool_call_id: m for m in takewhile(lambda m: m.role == "tool", from_end)}
        self._resumed = {entry.interrupt_id: entry for entry in read.resume}
        self.answers = bool(self._results or self._resumed)
        self._last = read.messages[-1] if read.messages else None
        if not self.answers and (self._last is None or self._last.role != "user"):
            raise MalformedFrameError(
                "unable to answer; the last message must be a user's, or the result of a tool"
            )

    def message(self) -> UIMessage:
        """Return the person's message.

        Raises:
            MalformedFrameError: it holds a part that no message of a person has.
        """
        last = self._last
        assert last is not None  # noqa: S101 - the constructor has checked
        content = [_Part("text", last.content)] if isinstance(last.content, str) else last.content
        parts = [_ui_part(part) for part in content]
        return UIMessage.parse(msgspec.json.encode({"id": last.id, "role": "user", "parts": parts}))

    def answered(self, asked: UIMessage) -> UIMessage:
        """Return a message of the session's with the answers to its calls.

        What answers none of them is left out: the message then has nothing new.
        """
        parts = list(self._answered_parts(asked.parts))
        return UIMessage.parse(
            msgspec.json.encode({"id": asked.id, "role": "assistant", "parts": parts})
        )

    def _answered_parts(self, parts: Iterable[Raw]) -> Iterator[Mapping[str, object] | Raw]:
        for raw in parts:
            try:
                part = msgspec.json.decode(raw, type=_StoredPart)
                fields = _fields.decode(raw)
            except UNREADABLE:
                yield raw
                continue
            if part.state == "input-available" and part.tool_call_id in self._results:
                yield {**fields, **_outcome(self._results[part.tool_call_id])}
            elif part.state == "approval-requested" and part.approval is not UNSET:
                verdict = self._verdict(part.approval)
                yield {**fields, **verdict} if verdict else raw
            else:
                yield raw

    def _verdict(self, approval: Raw) -> Mapping[str, object] | None:
        """Return the fields that answer an approval; None if the request does not answer it."""
        id_ = msgspec.json.decode(approval, type=_StoredApproval).id
        entry = self._resumed.get(id_)
        if entry is None:
            return None
        said: _Verdict | bool | None = entry.status == "resolved"
        if said and entry.payload is not UNSET:
            try:
                said = msgspec.json.decode(entry.payload, type=_Verdict | bool | None)
            except msgspec.MsgspecError as error:
                raise MalformedFrameError(
                    f"unable to read the answer to an approval; {error}"
                ) from None
        if not isinstance(said, _Verdict):
            said = _Verdict(approved=said is not False)
        answer = {**_fields.decode(approval), "approved": said.approved}
        if said.reason is not None:
            answer["reason"] = said.reason
        return {"state": "approval-responded", "approval": answer}


def _outcome(result: _Message) -> Mapping[str, object]:
    if result.error is not None:
        return {"state": "output-error", "errorText": result.error}
    content = result.content
    text = content if isinstance(content, str) else "".join(part.text for part in content)
    return {"state": "output-available", "output": _json_or_text(text)}


def _json_or_text(text: str) -> object:
    """Return a result as JSON if it is an object or a list, else as the text that it is."""
    if text.lstrip()[:1] not in ("{", "["):
        return text
    try:
        msgspec.json.decode(text)
    except msgspec.MsgspecError:
        return text
    return Raw(text.encode())


def _ui_part(part: _Part) -> Mapping[str, object]:
    if part.type == "text":
        return {"type": "text", "text": part.text}
    source = part.source
    if part.type not in _FILES or source is None:
        raise MalformedFrameError(
            "unable to read a part of the message; it must be text, image, audio, video or document"
        )
    url = source.value
    if source.type == "data":
        url = f"data:{source.mime_type};base64,{source.value}"
    return {"type": "file", "mediaType": source.mime_type, "url": url}
