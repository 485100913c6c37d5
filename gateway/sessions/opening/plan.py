"""Plan of a POST, from the state of its session.

It is a send, an edit, a retry, a regenerate, or continues a message whose tools were answered.

Pure decisions; the store repeats the ones that two tabs can race for. The client's copy of
the history is not trusted: only its ids are looked at, to find where the new message goes.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw

from midstream.authors import author_in, with_answers, with_author
from midstream.errors import ConflictError, InvalidRequestError, MessageNotFoundError
from midstream.ids import MessageId, check_id, new_id
from midstream.protocol.continuation import can_be_continued, merge_results
from midstream.protocol.errors import MalformedFrameError
from midstream.protocol.messages import StepStartPart, TextPart, UIMessage
from midstream.protocol.refused_keys import without_refused_keys
from midstream.sessions.log.stored_run import model_history, run_history
from midstream.sessions.places import END, Place, has, parent_of_new
from midstream.sessions.types import Plan
from midstream.store.calls import NewMessage
from midstream.store.records import RunOutcome, StoredMessage, Trigger

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from midstream.authors import Author
    from midstream.sessions.types import StartRequest
    from midstream.store.calls import QueueRule
    from midstream.store.records import RunInfo, SessionState

TITLE_LENGTH = 80

MAX_STEPS_OF_NOTHING = 1_000
"""Steps of an empty answer: more than a run may have."""


def accept(
    request: StartRequest,
    state: SessionState | None,
    *,
    refuse_foreign: bool,
    executed_here: Callable[[str], bool] = lambda _: False,
    continues_cut: bool = False,
    author: Author | None = None,
) -> Plan:
    """Decide what a request asks for.

    Args:
        state: the session as just read; None if there is none. Its path holds the message that
            `places.needed` names.
        executed_here: whether the last answer's agent executes the tool of this name, so
            that no client may supply its result.
        refuse_foreign: refuse a history with assistant messages that the session does not
            have; otherwise they are passed over.
        continues_cut: whether an answer whose run was cut may be continued as it is.
        author: who sends; None if nobody knows. What the message itself says of it is dropped.

    Raises:
        MessageNotFoundError: it names an assistant message that the server never wrote, or
            regenerates or follows one that is not there.
        ConflictError: it continues a message that has nothing left to answer.
        InvalidRequestError: its last message is no user's or assistant's, or says nothing.
    """
    path = () if state is None else state.path
    known = {message.id: index for index, message in enumerate(path)}
    if refuse_foreign:
        _refuse_foreign(request.messages, state)
    last = _readable(request.messages[-1])
    if last.role == "assistant" and request.trigger is Trigger.SUBMIT:
        return _continue(last, state, known, executed_here, author, continues_cut=continues_cut)
    if last.role != "user":
        raise InvalidRequestError(
            "unable to answer; the last message must be a user's, or the assistant's with its "
            "tools answered"
        )
    if request.trigger is Trigger.REGENERATE and _is_regeneration(request, state):
        return _regenerate(request, path, known)
    return _send(request, last, state, known, author)


def earlier_version(plan: Plan, path: Sequence[StoredMessage]) -> NewMessage | None:
    """Return what an edited message has said, with an id of its own; None if it is no edit.

    The AI SDK's `sendMessage` with a `messageId` edits a message and keeps its id.
    """
    new = plan.user_message
    stored = None if new is None else next((each for each in path if each.id == new.id), None)
    if new is None or stored is None or stored.content_hash == new.content_hash:
        return None
    kept = MessageId(new_id("msg"))
    fields = msgspec.json.decode(stored.message, type=dict[str, Raw])
    fields["id"] = Raw(msgspec.json.encode(kept))
    return NewMessage(
        id=kept,
        parent_id=stored.parent_id,
        content_hash=stored.content_hash,
        message=Raw(msgspec.json.encode(fields)),
    )


def queue_rule(plan: Plan, state: SessionState | None, entry: MessageId | None) -> QueueRule:
    """Decide what an opened run means for the queue.

    An edit, a regenerated answer and a branch set its entries aside: they were sent to another
    conversation. Whatever else a person sends ends a pause.
    """
    if entry is not None:
        return "keep"
    if plan.continued is not None or state is None:
        return "resume"
    if plan.user_message is None:
        return "clear"
    path = {message.id: message.content_hash for message in state.path}
    is_again = path.get(plan.user_message.id) == plan.content_hash
    is_end = plan.user_message.parent_id == state.meta.head_message_id
    return "resume" if is_again or is_end else "clear"


def message_of(request: StartRequest) -> tuple[UIMessage, str]:
    """Return the message of a send, as it is stored but for its author, and its hash.

    Raises:
        InvalidRequestError: it says nothing, or its id cannot be one.
    """
    message = check_message(request.messages[-1])
    return message, hash_content(message)


def check_message(message: UIMessage) -> UIMessage:
    """Return a message of a person as it is stored, but for its author.

    What it says of its author itself is dropped here.

    Raises:
        InvalidRequestError: it says nothing, its id cannot be one, or it is no user's.
    """
    message = with_author(_readable(message), None)
    check_id(message.id, "message id")
    if message.role != "user":
        raise InvalidRequestError("unable to queue this message; it must be a user's")
    _check_parts(message)
    return message


def _readable(message: UIMessage) -> UIMessage:
    """Return a message without the keys for which other clients refuse to read it."""
    raw = bytes(message.raw)
    cleaned = without_refused_keys(raw)
    return message if cleaned is raw else UIMessage.parse(cleaned)


def _refuse_foreign(messages: Sequence[UIMessage], state: SessionState | None) -> None:
    """Refuse assistant messages that this session never had.

    What was deleted may still be in a client's list, as may an answer that is being written, or
    one that was stopped before it said anything.
    """
    passed = frozenset[str]() if state is None else state.deleted
    writing = None if state is None or state.run is None else state.run.message_id
    for message in messages:
        if message.role != "assistant" or has(state, message.id) or message.id in passed:
            continue
        if message.id == writing or _says_nothing(message):
            continue
        raise MessageNotFoundError(
            "unable to accept an assistant message that this session does not have; load "
            "its messages and send again",
            messageId=message.id[:128],
        )


def _says_nothing(message: UIMessage) -> bool:
    """Whether a message has no part, or only the marks of steps; not of more than a run has."""
    if len(message.parts) > MAX_STEPS_OF_NOTHING:
        return False
    try:
        return all(isinstance(part, StepStartPart) for part in message.decoded_parts())
    except MalformedFrameError:
        return False


def _send(
    request: StartRequest,
    last: UIMessage,
    state: SessionState | None,
    known: dict[MessageId, int],
    author: Author | None,
) -> Plan:
    """A new message, the same one again, or (same id, other content) an edit."""
    message_id = MessageId(check_id(last.id, "message id"))
    _check_parts(last)
    content_hash = hash_content(last)
    path = () if state is None else state.path
    index = known.get(message_id)
    if index is not None:
        parent_id = path[index].parent_id
        if path[index].content_hash == content_hash:
            # Whoever sends it again has not said it.
            last = with_author(last, author_in(UIMessage.parse(path[index].message)) or author)
            return Plan(
                user_message_id=message_id,
                user_message=_new(last, parent_id, content_hash),
                continued=None,
                replaced_message=None,
                content_hash=content_hash,
                history=model_history(path[: index + 1]),
            )
        before: Sequence[StoredMessage] = path[:index]
    else:
        before = _up_to(parent_of_new(request, state), path, known)
        parent_id = before[-1].id if before else None
    last = with_author(last, author)
    return Plan(
        user_message_id=message_id,
        user_message=_new(last, parent_id, content_hash),
        continued=None,
        replaced_message=None,
        content_hash=content_hash,
        history=(*model_history(before), last),
    )


def _up_to(
    place: Place, path: Sequence[StoredMessage], known: dict[MessageId, int]
) -> Sequence[StoredMessage]:
    if place is END:
        return path
    return () if place is None else path[: known[place] + 1]


def _check_parts(message: UIMessage) -> None:
    """Refuse a message that says nothing, or that no prompt could be made of."""
    if not message.parts:
        raise InvalidRequestError("unable to send an empty message; it needs at least one part")
    try:
        for _ in message.decoded_parts():
            pass
    except MalformedFrameError as error:
        raise InvalidRequestError(str(error)) from None


def _is_regeneration(request: StartRequest, state: SessionState | None) -> bool:
    """Whether it asks for what the session has, or had; else it is a send that never arrived."""
    named = [request.messages[-1].id, request.message_id]
    return any(has(state, each) or (state is not None and each in state.deleted) for each in named)


def _regenerate(
    request: StartRequest, path: Sequence[StoredMessage], known: dict[MessageId, int]
) -> Plan:
    """Answer a known user message again."""
    target = request.message_id
    if target is not None and target not in known:
        raise MessageNotFoundError(
            "unable to regenerate; the session has no such message", messageId=target[:128]
        )
    index = known.get(target or MessageId(request.messages[-1].id), -1)
    if index < 0:
        raise MessageNotFoundError("unable to regenerate; its message was deleted")
    while index >= 0 and _role(path[index]) != "user":
        index -= 1
    if index < 0:
        raise InvalidRequestError("unable to regenerate; no user message comes before it")
    return Plan(
        user_message_id=path[index].id,
        user_message=None,
        continued=None,
        replaced_message=None,
        content_hash=path[index].content_hash,
        history=model_history(path[: index + 1]),
    )


def _continue(
    client: UIMessage,
    state: SessionState | None,
    known: dict[MessageId, int],
    executed_here: Callable[[str], bool],
    author: Author | None,
    *,
    continues_cut: bool,
) -> Plan:
    """Continue the last answer, after its tools were answered, or where its run was cut."""
    path, run = ((), None) if state is None else (state.path, state.run)
    index = known.get(MessageId(client.id))
    if index is None and has(state, client.id):
        raise ConflictError(
            "unable to continue this message; the conversation has continued from another "
            "version of it. Send a new message instead",
            messageId=client.id,
        )
    if index is None:
        raise MessageNotFoundError(
            "unable to continue this message; the session does not have it",
            messageId=client.id[:128],
        )
    stored = path[index]
    message = UIMessage.parse(stored.message)
    merged = merge_results(message, client, executed_here)
    is_new = merged is not None
    may_continue = continues_cut or can_be_continued(message, executed_here)
    if merged is None and may_continue and _was_cut(stored, run):
        merged = message
    if merged is not None:
        merged = with_answers(message, merged, author)
    if index != len(path) - 1 or merged is None or stored.parent_id is None:
        raise ConflictError(
            "unable to continue this message; nothing in it waits for an answer. Send a new "
            "message instead",
            messageId=stored.id,
        )
    content_hash = hash_content(merged)
    return Plan(
        user_message_id=stored.parent_id,
        user_message=None,
        continued=merged,
        replaced_message=_new(merged, stored.parent_id, content_hash) if is_new else None,
        content_hash=content_hash,
        history=run_history(path, stored.id, merged),
    )


def _was_cut(stored: StoredMessage, run: RunInfo | None) -> bool:
    """Whether the run that last wrote a message failed or died, so that a retry is meant.

    Not if a person stopped it: some clients send a stopped message again by themselves.
    """
    cut = (RunOutcome.FAILED, RunOutcome.INTERRUPTED)
    return run is not None and run.message_id == stored.id and run.outcome in cut


def _role(message: StoredMessage) -> str:
    return UIMessage.parse(message.message).role


def _new(message: UIMessage, parent_id: MessageId | None, content_hash: str) -> NewMessage:
    return NewMessage(
        id=MessageId(message.id),
        parent_id=parent_id,
        content_hash=content_hash,
        message=message.raw,
    )


def hash_content(message: UIMessage) -> str:
    """Return what tells an edit from a repeated send: a hash of the parts, as sent."""
    digest = hashlib.sha256()
    for part in message.parts:
        digest.update(bytes(part))
        digest.update(b"\n")
    return digest.hexdigest()[:32]


def title_of(message: UIMessage) -> str:
    """Return the first line of a message's text, cut short; a session is listed by it."""
    for part in message.readable_parts():
        if isinstance(part, TextPart) and part.text.strip():
            line = part.text.strip().splitlines()[0]
            return line if len(line) <= TITLE_LENGTH else line[: TITLE_LENGTH - 1] + "…"
    return ""
