"""Send that a proxied call amounts to: the message that it answers, or continues.

Pure decisions over the session as it was read; `plan.py` and the store decide as for any
other send.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from midstream.errors import MessageNotFoundError
from midstream.ids import MessageId, SessionId
from midstream.protocol.codec import one_line
from midstream.protocol.errors import MalformedFrameError
from midstream.protocol.messages import TextPart, ToolPart, UIMessage, parse_part, readable_parts
from midstream.protocol.parts import fields_of, json_of
from midstream.sessions.proxied.run import is_pending
from midstream.sessions.types import StartRequest
from midstream.store.records import RunOutcome, Trigger

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from msgspec import Raw

    from midstream.providers.passthrough.content import ToolResult
    from midstream.store.records import SessionState, StoredMessage


def continuation(
    session_id: SessionId, key: str, state: SessionState, results: Sequence[ToolResult]
) -> StartRequest | None:
    """Continue the last answer, with the results of calls that it waits for.

    None if it waits for none of them.
    """
    if not state.path:
        return None
    message = UIMessage.parse(state.path[-1].message)
    if message.role != "assistant":
        return None
    answers = {result.call_id: result for result in results}
    parts = list(message.parts)
    answered = False
    for index, raw in enumerate(parts):
        try:
            part = parse_part(raw)
        except MalformedFrameError:
            continue
        if isinstance(part, ToolPart) and is_pending(part) and part.tool_call_id in answers:
            parts[index] = _answered(raw, answers[part.tool_call_id])
            answered = True
    if not answered:
        return None
    copy = msgspec.json.encode(fields_of(message.raw) | {"parts": json_of(parts)})
    return StartRequest(
        session_id=session_id,
        messages=(UIMessage.parse(one_line(copy)),),
        trigger=Trigger.SUBMIT,
        request_key=key,
    )


def _answered(part: Raw, result: ToolResult) -> Raw:
    if result.error_text is not None:
        news = {"state": json_of("output-error"), "errorText": json_of(result.error_text)}
    else:
        news = {"state": json_of("output-available"), "output": result.output}
    return json_of(fields_of(part) | news)


def submission(
    session_id: SessionId,
    key: str,
    state: SessionState | None,
    *,
    said: Sequence[Raw],
    message_id: MessageId | None,
    own_id: str,
    again: bool,
) -> StartRequest:
    """Answer the user's message: the session's own, if it has it and waits; else a new one.

    Args:
        said: the message's parts, as the call has them.
        message_id: as its caller names it.
        own_id: what the message is called if it is new; the same for each try of a call.
        again: the call was tried before: what that made of it is no message of its own.

    Raises:
        MessageNotFoundError: the named message is no user's.
    """
    if message_id is not None:
        return _named(session_id, key, state, said, message_id)
    path = () if state is None else state.path
    waiting = _last_of_user(path)
    if state is not None and waiting is not None and not _is_answered(state, waiting):
        stored = UIMessage.parse(waiting.message)
        if _text(stored.parts) == _text(said):
            return _submit(session_id, key, stored)
    taken = {} if state is None else {message.id: message for message in path}
    older = frozenset() if state is None else state.off_path
    wanted, number = MessageId(own_id), 1
    while wanted in taken or wanted in older:
        if state is not None and again and wanted in taken:
            return _again(session_id, key, taken[wanted])
        number += 1
        wanted = MessageId(f"{own_id}~{number}")
    return _submit(session_id, key, _message(wanted, said))


def _named(
    session_id: SessionId,
    key: str,
    state: SessionState | None,
    said: Sequence[Raw],
    message_id: MessageId,
) -> StartRequest:
    for message in () if state is None else state.path:
        if message.id != message_id:
            continue
        stored = UIMessage.parse(message.message)
        if stored.role != "user":
            raise MessageNotFoundError(
                "unable to answer this message; it is not a user's", messageId=message_id
            )
        if state is not None and _is_answered(state, message):
            return _again(session_id, key, message)
        return _submit(session_id, key, stored)
    return _submit(session_id, key, _message(message_id, said))


def _submit(session_id: SessionId, key: str, message: UIMessage) -> StartRequest:
    return StartRequest(
        session_id=session_id, messages=(message,), trigger=Trigger.SUBMIT, request_key=key
    )


def _again(session_id: SessionId, key: str, message: StoredMessage) -> StartRequest:
    return StartRequest(
        session_id=session_id,
        messages=(UIMessage.parse(message.message),),
        trigger=Trigger.REGENERATE,
        message_id=message.id,
        request_key=key,
    )


def _last_of_user(path: Sequence[StoredMessage]) -> StoredMessage | None:
    for message in reversed(path):
        if UIMessage.parse(message.message).role == "user":
            return message
    return None


def _is_answered(state: SessionState, message: StoredMessage) -> bool:
    """Whether a user's message has an answer that is finished."""
    if state.path[-1].id == message.id and state.run is None:
        return False
    run = state.run
    if run is not None and run.user_message_id == message.id:
        return run.outcome is RunOutcome.FINISHED
    return state.path[-1].id != message.id


def _text(parts: Iterable[Raw]) -> str:
    return "".join(part.text for part in readable_parts(parts) if isinstance(part, TextPart))


def _message(message_id: str, parts: Sequence[Raw]) -> UIMessage:
    fields = {"id": message_id, "role": "user", "parts": list(parts)}
    return UIMessage.parse(msgspec.json.encode(fields))
