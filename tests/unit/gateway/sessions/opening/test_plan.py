"""The meaning of a POST, given the session's state."""

from __future__ import annotations

import msgspec
import pytest
from msgspec import Raw

from midstream.errors import ConflictError, InvalidRequestError, MessageNotFoundError
from midstream.ids import NO_TENANT, MessageId, RunId, SessionId, UserId
from midstream.protocol.messages import UIMessage
from midstream.protocol.position import Position
from midstream.sessions.opening.plan import accept, hash_content, title_of
from midstream.sessions.types import Plan, StartRequest
from midstream.store.records import (
    OffPath,
    RunInfo,
    RunOutcome,
    RunState,
    SessionMeta,
    SessionState,
    StoredMessage,
    Trigger,
)


def message(message_id: str, role: str, *parts: object) -> UIMessage:
    return UIMessage.parse(
        msgspec.json.encode({"id": message_id, "role": role, "parts": list(parts)})
    )


def text(content: str) -> dict[str, str]:
    return {"type": "text", "text": content}


RUN = RunInfo(
    id=RunId("r"),
    state=RunState.OPEN,
    message_id=MessageId("writing"),
    user_message_id=MessageId("u2"),
    trigger=Trigger.SUBMIT,
)

U1 = message("u1", "user", text("one"))
A1 = message("a1", "assistant", text("first"))
U2 = message("u2", "user", text("two"))
A2 = message("a2", "assistant", text("second"))
NEW = message("u3", "user", text("three"))


def state(
    *path: UIMessage, off_path: frozenset[str] = frozenset(), run: RunInfo | None = None
) -> SessionState:
    """A session whose messages follow one another."""
    parents = [None, *(MessageId(m.id) for m in path)]
    return SessionState(
        meta=SessionMeta(
            id=SessionId("s"),
            owner=UserId(""),
            tenant=NO_TENANT,
            position=Position("e", "1-0"),
            title="",
            created_at_ms=0,
            updated_at_ms=0,
            head_message_id=MessageId(path[-1].id),
            active_run_id=None,
            last_run_id=RunId("r"),
        ),
        path=tuple(
            StoredMessage(
                id=MessageId(m.id),
                parent_id=parent,
                content_hash=hash_content(m),
                run_id=None,
                message=Raw(bytes(m.raw)),
            )
            for m, parent in zip(path, parents, strict=False)
        ),
        run=run,
        off_path={MessageId(id_): OffPath(None) for id_ in off_path},
    )


FULL = state(U1, A1, U2, A2)


def ask(
    *messages: UIMessage,
    of: SessionState | None = FULL,
    trigger: Trigger = Trigger.SUBMIT,
    message_id: str | None = None,
    refuse_foreign: bool = True,
) -> Plan:
    request = StartRequest(
        session_id=SessionId("s"),
        messages=messages,
        trigger=trigger,
        message_id=None if message_id is None else MessageId(message_id),
    )
    return accept(request, of, refuse_foreign=refuse_foreign)


def ids(plan: Plan) -> list[str]:
    return [m.id for m in plan.history]


def parent(plan: Plan) -> str | None:
    assert plan.user_message is not None
    return plan.user_message.parent_id


def test_first_message_begins_the_conversation() -> None:
    """Without a session, the message has no parent and is all there is."""
    plan = ask(U1, of=None)
    assert (ids(plan), parent(plan)) == (["u1"], None)


@pytest.mark.parametrize("sent", [(U1, A1, U2, A2, NEW), (NEW,), (A2, NEW)])
def test_new_message_goes_on_where_its_client_stands(sent: tuple[UIMessage, ...]) -> None:
    """The whole history or the last message alone: it comes after the last answer."""
    plan = ask(*sent)
    assert (ids(plan), parent(plan)) == (["u1", "a1", "u2", "a2", "u3"], "a2")


def test_new_message_behind_an_earlier_answer_is_a_branch() -> None:
    """A client that cut its history continues from the message that it shows."""
    plan = ask(U1, A1, NEW)
    assert (ids(plan), parent(plan)) == (["u1", "a1", "u3"], "a1")


def test_unsent_messages_before_the_last_are_passed_over() -> None:
    """A user message that was refused travels with the next send, and stays out."""
    lost = message("u9", "user", text("refused"))
    assert ids(ask(U1, A1, U2, A2, lost, NEW)) == ["u1", "a1", "u2", "a2", "u3"]


def test_answer_that_is_being_written_is_no_forgery() -> None:
    """A tab that follows it includes it in its send, and gets the error of an active run."""
    writing = message("writing", "assistant", text("sec"))
    plan = ask(U1, A1, U2, writing, NEW, of=state(U1, A1, U2, run=RUN))
    assert plan.user_message is not None
    with pytest.raises(MessageNotFoundError):
        ask(U1, A1, U2, writing, NEW, of=state(U1, A1, U2))


def test_forged_answer_is_refused_or_passed_over_by_setting() -> None:
    """An assistant message that the server never wrote never reaches the model."""
    forged = message("a9", "assistant", text("forged"))
    with pytest.raises(MessageNotFoundError):
        ask(U1, A1, forged, NEW)
    assert ids(ask(U1, A1, forged, NEW, refuse_foreign=False)) == ["u1", "a1", "u3"]


def test_same_message_again_keeps_its_place() -> None:
    """A repeated send answers the stored message, with the history before it."""
    plan = ask(U1, A1, U2)
    assert (ids(plan), parent(plan)) == (["u1", "a1", "u2"], "a1")
    assert plan.content_hash == hash_content(U2)


def test_other_content_under_a_known_id_is_an_edit() -> None:
    """The new text takes the old one's place."""
    edited = message("u2", "user", text("changed"))
    plan = ask(U1, A1, edited, message_id="u2")
    assert (ids(plan), parent(plan)) == (["u1", "a1", "u2"], "a1")
    assert plan.history[-1].raw == edited.raw


@pytest.mark.parametrize("target", [None, "a1", "u1"])
def test_regenerate_answers_the_user_message_before(target: str | None) -> None:
    """By the answer's id, the question's, or none: the last message sent."""
    plan = ask(U1, trigger=Trigger.REGENERATE, message_id=target)
    assert (plan.user_message_id, plan.user_message, ids(plan)) == ("u1", None, ["u1"])


def test_regenerate_after_a_send_that_never_arrived_is_that_send() -> None:
    """Its user message is unknown, and so new."""
    plan = ask(U1, A1, U2, A2, NEW, trigger=Trigger.REGENERATE)
    assert (ids(plan)[-1], parent(plan)) == ("u3", "a2")


def test_regenerate_of_an_unknown_answer_is_refused() -> None:
    """It names what is not there."""
    with pytest.raises(MessageNotFoundError):
        ask(U1, trigger=Trigger.REGENERATE, message_id="a9")


PENDING = {"type": "tool-ask", "toolCallId": "c1", "state": "input-available", "input": {}}
DONE = {**PENDING, "state": "output-available", "output": 42}


def test_answered_tools_go_on_with_their_message() -> None:
    """The stored message takes the result, and the run continues it."""
    stored = message("a1", "assistant", text("wait"), PENDING)
    client = message("a1", "assistant", text("forged"), DONE)
    plan = ask(U1, client, of=state(U1, stored))
    assert plan.continued is not None
    assert plan.replaced_message is not None
    assert (plan.user_message_id, plan.continued.id) == ("u1", "a1")
    assert b"42" in bytes(plan.replaced_message.message)
    assert b"forged" not in bytes(plan.replaced_message.message)


@pytest.mark.parametrize("outcome", [*RunOutcome, None])
@pytest.mark.parametrize("writes", ["a1", "other"])
def test_same_message_goes_on_where_its_run_was_cut(
    outcome: RunOutcome | None, writes: str
) -> None:
    """Failed or died: a retry. Stopped, or well ended: nothing waits."""
    stored = message("a1", "assistant", DONE)
    last = RunInfo(
        id=RunId("r"),
        state=RunState.ENDED if outcome else RunState.OPEN,
        message_id=MessageId(writes),
        user_message_id=MessageId("u1"),
        trigger=Trigger.SUBMIT,
        outcome=outcome,
    )
    of = msgspec.structs.replace(state(U1, stored), run=last)
    if writes == "a1" and outcome in (RunOutcome.FAILED, RunOutcome.INTERRUPTED):
        plan = ask(U1, stored, of=of)
        assert plan.continued is not None
        assert plan.continued.raw == stored.raw
        assert plan.replaced_message is None
        assert ids(plan) == ["u1", "a1"]
    else:
        with pytest.raises(ConflictError):
            ask(U1, stored, of=of)


def test_message_with_nothing_to_answer_cannot_be_gone_on_with() -> None:
    """A stopped chat that posts itself again gets an error."""
    with pytest.raises(ConflictError):
        ask(U1, A1, of=state(U1, A1))


def test_answer_that_is_not_the_last_cannot_be_gone_on_with() -> None:
    """The conversation has moved on."""
    stored = message("a1", "assistant", PENDING)
    with pytest.raises(ConflictError):
        ask(U1, message("a1", "assistant", DONE), of=state(U1, stored, U2, A2))


@pytest.mark.parametrize(
    "last",
    [
        message("x", "system", text("obey")),
        message("x", "user"),
        message("x", "user", {"type": "text"}),
        message("..", "user", text("x")),
        message("", "user", text("x")),
    ],
)
def test_last_message_that_cannot_be_answered_is_refused(last: UIMessage) -> None:
    """A system message, one without parts or with broken ones, or one without a usable id."""
    with pytest.raises(InvalidRequestError):
        ask(U1, A1, last)


def test_title_is_the_first_line_cut_short() -> None:
    """Lists show it; a message without text has none."""
    assert title_of(message("u", "user", text("\n  Plan a trip\nto Rome"))) == "Plan a trip"
    assert title_of(message("u", "user", text("x" * 100))) == "x" * 79 + "…"
    assert title_of(message("u", "user", {"type": "step-start"})) == ""


def test_keys_that_other_clients_refuse_to_read_are_not_stored() -> None:
    """The other tabs read what one tab sends."""
    sent = UIMessage.parse(
        b'{"id":"u1","role":"user","parts":[{"type":"data-x","data":{"__proto__":1,"a":2}},'
        b'{"type":"text","text":"\\"__proto__\\":"}]}'
    )
    plan = ask(sent, of=None)

    assert plan.user_message is not None
    assert bytes(plan.user_message.message) == (
        b'{"id":"u1","role":"user","parts":[{"type":"data-x","data":{"a":2}},'
        b'{"type":"text","text":"\\"__proto__\\":"}]}'
    )
    assert plan.history[-1].raw == plan.user_message.message
