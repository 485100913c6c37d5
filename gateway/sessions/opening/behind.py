"""A run behind a session's last message, for a person who speaks unasked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from midstream.ids import MessageId, RunId, new_id
from midstream.sessions.opening.open_run import open_surely
from midstream.store.calls import OpenRun
from midstream.store.records import RunInfo, RunState, Trigger

if TYPE_CHECKING:
    from midstream.store.contract import SessionStore
    from midstream.store.records import SessionState


async def open_behind(store: SessionStore, state: SessionState, wait_ms: int) -> RunInfo | None:
    """Open it.

    Returns:
        The run, which waits for them; None if the session has changed meanwhile.
    """
    meta = state.meta
    run = RunInfo(
        id=RunId(new_id("run")),
        state=RunState.OPEN,
        message_id=MessageId(new_id("msg")),
        user_message_id=meta.head_message_id or MessageId(""),
        trigger=Trigger.SUBMIT,
        agent="" if state.run is None else state.run.agent,
    )
    opened = await open_surely(
        store,
        OpenRun(
            session_id=meta.id,
            expected_owner=meta.owner,
            expected_tenant=meta.tenant,
            run=run,
            user_message=None,
            replaced_message=None,
            content_hash="",
            new_epoch=meta.position.epoch,
            title="",
            expected_offset=meta.position.offset,
            wait_ms=wait_ms,
        ),
    )
    found = opened.run
    return found if found is not None and found.id == run.id else None
