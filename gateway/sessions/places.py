"""Place of a send in a session's tree of messages, and the versions beside each message.

A client says `parentId`, the message that its new one follows, and `head`, the last one that it
showed. If both are the same, the person meant the end: the message goes there, whatever has come
meanwhile. If not, it is an edit or an older branch, and taken as said; so is a parent without a
head. A client of the AI SDK says neither: the last message of its list that the session has, on any
branch, is the parent, and a list of which the session has nothing goes to the end.

What the session has behind the parent stays, as a branch beside the send.
"""

from __future__ import annotations

from collections import defaultdict
from enum import Enum
from typing import TYPE_CHECKING, Final, TypeAlias

from msgspec import UNSET

from midstream.errors import MessageNotFoundError
from midstream.ids import MessageId
from midstream.sessions.types import Versions
from midstream.store.records import Trigger

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from midstream.protocol.messages import UIMessage
    from midstream.sessions.types import StartRequest
    from midstream.store.records import LogOrder, OffPath, SessionState, StoredMessage


class End(Enum):
    """The end of the conversation as it is."""

    END = "end"


END: Final = End.END

Place: TypeAlias = MessageId | End | None
"""A message, for behind it; None for before all of them; or the end."""


def has(state: SessionState | None, message_id: str | None) -> bool:
    """Whether the session has a message, on any branch."""
    if state is None or message_id is None:
        return False
    return message_id in state.off_path or any(m.id == message_id for m in state.path)


def needed(request: StartRequest, state: SessionState) -> Place:
    """Return the message at the end of a send's path.

    A stored message is that end itself; for a new one it is the parent.

    Raises:
        MessageNotFoundError: the send names a parent that the session does not have.
    """
    last = request.messages[-1]
    if request.trigger is Trigger.REGENERATE and has(state, request.message_id):
        return request.message_id
    if last.role != "user":
        return END
    return MessageId(last.id) if has(state, last.id) else parent_of_new(request, state)


def parent_of_new(request: StartRequest, state: SessionState | None) -> Place:
    """Return where a message goes that the session does not have.

    Raises:
        MessageNotFoundError: the send names a parent that the session does not have.
    """
    parent = request.parent_id
    if parent is UNSET:
        return _last_known(request.messages[:-1], state)
    if parent is None:
        return END if request.head is None else None
    found = _standing_for(parent, state)
    if found is None:
        raise MessageNotFoundError(
            "unable to send behind this message; the session does not have it. Load its messages "
            "and send again",
            messageId=parent[:128],
        )
    return END if parent == request.head else found


def _last_known(earlier: Iterable[UIMessage], state: SessionState | None) -> Place:
    for message in reversed(tuple(earlier)):
        found = _standing_for(message.id, state)
        if found is not None:
            return found
    return END


def _standing_for(message_id: str, state: SessionState | None) -> Place:
    """Return the place behind a message; None if the session knows of none.

    An answer that is being written is followed by nothing before it has ended. One that was
    stopped before its first word is stored nowhere: what follows it follows its question.
    """
    if has(state, message_id):
        return MessageId(message_id)
    run = None if state is None else state.run
    if state is None or run is None or run.message_id != message_id:
        return None
    if state.meta.active_run_id == run.id:
        return END
    return run.user_message_id if has(state, run.user_message_id) else END


def branches(state: SessionState) -> dict[MessageId, Versions]:
    """Return the versions of each message of the path that is not the only one in its place."""
    beside = _by_parent(state)
    found: dict[MessageId, Versions] = {}
    for shown in state.path:
        if others := beside.get(shown.parent_id):
            ids = [id_ for _, id_ in sorted((*others, (shown.order, shown.id)))]
            found[shown.id] = Versions(ids, ids.index(shown.id))
    return found


def following(state: SessionState, shown: Sequence[StoredMessage]) -> list[MessageId]:
    """Return the messages that follow the last one that is shown, oldest first.

    None of them is shown: the end of the path was deleted, or is being written again.
    """
    last = shown[-1].id if shown else None
    hidden = [(m.order, m.id) for m in state.path[len(shown) :] if m.parent_id == last]
    return [id_ for _, id_ in sorted((*_by_parent(state).get(last, ()), *hidden))]


def side_messages(state: SessionState) -> list[tuple[MessageId, OffPath]]:
    """Return the messages of side runs that hang on the path, oldest first."""
    path = {message.id for message in state.path}
    found = [each for each in state.off_path.items() if each[1].side and each[1].parent_id in path]
    return sorted(found, key=lambda each: each[1].order)


def _by_parent(state: SessionState) -> dict[MessageId | None, list[tuple[LogOrder, MessageId]]]:
    """Return the messages beside the path, by what they follow; no side run's."""
    found: defaultdict[MessageId | None, list[tuple[LogOrder, MessageId]]] = defaultdict(list)
    for message_id, message in state.off_path.items():
        if not message.side:
            found[message.parent_id].append((message.order, message_id))
    return found
