"""Messages that a person sends while the main run waits: they join its wait, without a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from midstream.authors import with_author
from midstream.errors import ConflictError
from midstream.ids import MessageId
from midstream.sessions.opening.plan import message_of
from midstream.sessions.places import END, has, parent_of_new
from midstream.store.calls import NewMessage, Say, SayStatus
from midstream.store.records import RunState, Trigger

if TYPE_CHECKING:
    from midstream.authors import Author
    from midstream.sessions.types import StartRequest
    from midstream.store.contract import SessionStore
    from midstream.store.records import SessionState


async def join(
    store: SessionStore, request: StartRequest, state: SessionState, author: Author | None
) -> SayStatus | None:
    """Append a send's message behind the one that the waiting run answers.

    Args:
        author: who sends; None if nobody knows.

    Returns:
        None if it is no message for that run: nothing waits, or it is an edit, an older branch, or
        a send that is to interrupt the wait.

    Raises:
        ConflictError: the session has other content for the message's id.
    """
    run, last = state.run, request.messages[-1]
    if run is None or run.state is not RunState.WAITING or request.on_active == "interrupt":
        return None
    if last.role != "user" or request.trigger is not Trigger.SUBMIT or has(state, last.id):
        return None
    if parent_of_new(request, state) not in (END, run.user_message_id):
        return None
    message, content_hash = message_of(request)
    said = await store.say(
        Say(
            session_id=request.session_id,
            expected_owner=state.meta.owner,
            expected_tenant=state.meta.tenant,
            run=run,
            message=NewMessage(
                id=MessageId(message.id),
                parent_id=run.user_message_id,
                content_hash=content_hash,
                message=with_author(message, author).raw,
            ),
            request_key=request.request_key,
        )
    )
    if said is SayStatus.CONFLICT:
        raise ConflictError(
            "unable to send this message; its id has other content here", messageId=message.id
        )
    return said
