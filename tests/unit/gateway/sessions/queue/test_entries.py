"""The facts of a queued message's run: what is kept is what was sent, and by whom."""

from __future__ import annotations

import msgspec
import pytest
from msgspec import Raw
from msgspec.structs import replace

from midstream.ids import MessageId, SessionId, TenantId, UserId
from midstream.protocol.messages import UIMessage
from midstream.sessions.access import Caller, Role
from midstream.sessions.queue.entries import facts_of_entry, send_of, sender_of
from midstream.sessions.queued import Queue
from midstream.sessions.types import EndedRun, StartRequest
from midstream.store.queue.state import QueuedMessage, QueueState
from midstream.store.records import Trigger

S = SessionId("chat-1")
MESSAGE = b'{"id":"u1","role":"user","parts":[{"type":"text","text":"Hi"}]}'
GUEST = Caller(
    user=UserId("gus"),
    name="Gus",
    tenant=TenantId("a"),
    granted=frozenset({S, SessionId("other")}),
    agents=frozenset({"poet"}),
    agent_key="worker",
)
REQUEST = StartRequest(
    session_id=S,
    messages=(UIMessage.parse(MESSAGE),),
    trigger=Trigger.SUBMIT,
    agent="poet",
    model="large",
    request_key="k1",
    body=Raw(b'{"tone":"warm"}'),
    headers={"traceparent": "00-1"},
    on_active="queue",
)


class Place:
    """A place in the sender's limits."""

    def keep(self) -> None: ...
    def release(self, end: EndedRun | None = None) -> None: ...
    def drop(self) -> None: ...

    def told(self) -> bytes:
        return b'{"places":[]}'


def queued(facts: bytes) -> QueuedMessage:
    return QueuedMessage(
        id=MessageId("u1"),
        version=1,
        content_hash="h",
        at_ms=7,
        by=Raw(sender_of(GUEST, TenantId("a"))),
        facts=Raw(facts),
        message=Raw(MESSAGE),
    )


def test_send_of_an_entry_is_the_one_that_was_queued() -> None:
    caller, request, told = send_of(S, queued(facts_of_entry(GUEST, REQUEST, Place())))
    assert caller == replace(GUEST, granted=frozenset({S})), "of this session alone"
    assert request == replace(REQUEST, messages=request.messages, on_active="refuse")
    assert bytes(request.messages[0].raw) == MESSAGE
    assert told == b'{"places":[]}'


def test_send_without_a_place_or_grants_has_none() -> None:
    caller = Caller(role=Role.OPERATOR)
    again, _, told = send_of(S, queued(facts_of_entry(caller, REQUEST, None)))
    assert again == caller
    assert told == b""


@pytest.mark.parametrize("facts", [b"{}", b'{"user":"a","role":"emperor"}', b"[]"])
def test_facts_of_another_version_that_cannot_be_read_are_a_value_error(facts: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        send_of(S, queued(facts))


def test_clients_see_the_message_and_its_sender_and_no_facts() -> None:
    entry = queued(facts_of_entry(GUEST, REQUEST, None))
    state = QueueState(entries=(entry,), paused="stopped", unsent=(replace(entry, reason="gone"),))
    shown = msgspec.json.decode(msgspec.json.encode(Queue.of(state)))
    by = {"id": "gus", "role": "user", "kind": "agent", "name": "Gus"}
    message = msgspec.json.decode(MESSAGE)
    seen = {"id": "u1", "message": message, "by": by, "at": 7, "version": 1}
    assert shown == {
        "entries": [seen],
        "paused": "stopped",
        "waitsFor": None,
        "unsent": [{**seen, "reason": "gone"}],
    }
