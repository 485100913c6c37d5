"""The place of a send in a session's tree: its path for the model, and its branches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest
from msgspec import UNSET, Raw, UnsetType
from msgspec.structs import replace

from midstream.errors import ConflictError, MessageNotFoundError
from midstream.ids import NO_TENANT, MessageId, RunId, SessionId, UserId
from midstream.protocol.messages import UIMessage
from midstream.protocol.position import Position
from midstream.sessions.opening.plan import accept, earlier_version, hash_content
from midstream.sessions.places import END, branches, following, needed
from midstream.sessions.types import Plan, StartRequest, Versions
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

if TYPE_CHECKING:
    from collections.abc import Sequence

# In the order in which they came. Answers are named as their questions; `a2x` answers `u2` too.
PARENTS: Final[dict[str, str | None]] = {
    "u1": None, "a1": "u1", "u2": "a1", "a2": "u2", "u3": "a2", "a3": "u3",
    "u2b": "a1", "a2b": "u2b",
    "a2x": "u2",
    "v1": None, "b1": "v1",
}  # fmt: skip
HEAD: Final = "a2b"


def message(name: str, text: str | None = None) -> UIMessage:
    """Return a message; answers have an `a` or a `b` first, or are named `empty…`."""
    role = "assistant" if name[0] in "abe" else "user"
    parts = [] if name.startswith("empty") else [{"type": "text", "text": text or name}]
    return UIMessage.parse(msgspec.json.encode({"id": name, "role": role, "parts": parts}))


def session(
    leaf: str | None = None,
    *,
    run: RunInfo | None = None,
    deleted: Sequence[str] = (),
    unasked: Sequence[str] = (),
) -> SessionState:
    """Return the session as it is loaded: with the path to a message, or to the head."""
    orders = {name: (index, 0) for index, name in enumerate(PARENTS, 1)}
    path: list[StoredMessage] = []
    at: str | None = leaf or HEAD
    while at is not None:
        parsed = message(at)
        path.insert(
            0,
            StoredMessage(
                id=MessageId(at),
                parent_id=_id(PARENTS[at]),
                content_hash=hash_content(parsed),
                run_id=None,
                message=Raw(bytes(parsed.raw)),
                order=orders[at],
                unasked=at in unasked,
            ),
        )
        at = PARENTS[at]
    shown = {each.id for each in path}
    return SessionState(
        meta=SessionMeta(
            id=SessionId("s"),
            owner=UserId(""),
            tenant=NO_TENANT,
            position=Position("e", "1-0"),
            title="",
            created_at_ms=0,
            updated_at_ms=0,
            head_message_id=MessageId(HEAD),
            active_run_id=run.id if run is not None and run.outcome is None else None,
            last_run_id=RunId("r"),
        ),
        path=tuple(path),
        run=run,
        off_path={
            MessageId(name): OffPath(_id(parent), orders[name])
            for name, parent in PARENTS.items()
            if name not in shown
        },
        deleted=frozenset(map(MessageId, deleted)),
    )


def _id(name: str | None) -> MessageId | None:
    return None if name is None else MessageId(name)


def request(names: str, **rest: Any) -> StartRequest:
    """Return a send whose list is these messages; one in capitals has another text."""
    messages = [message(n.lower(), "other" if n != n.lower() else None) for n in names.split()]
    return StartRequest(
        session_id=SessionId("s"), messages=messages, **{"trigger": Trigger.SUBMIT, **rest}
    )


def plan(asked: StartRequest, **of: Any) -> Plan:
    """Decide, with the path that the send is about."""
    state = session(**of)
    place = needed(asked, state)
    if place is not None and place is not END and place not in {m.id for m in state.path}:
        state = session(str(place), **of)
        assert needed(asked, state) == place
    return accept(asked, state, refuse_foreign=True)


def read(decided: Plan) -> str:
    """Return the ids of the model's messages."""
    return " ".join(each.id for each in decided.history)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        pytest.param("u1 a1 u2b a2b new", "u1 a1 u2b a2b new", id="on the newest branch"),
        pytest.param("new", "u1 a1 u2b a2b new", id="the last message alone: the end"),
        pytest.param("x y new", "u1 a1 u2b a2b new", id="nothing of the session: the end"),
        pytest.param("u1 a1 u2 a2 u3 a3 new", "u1 a1 u2 a2 u3 a3 new", id="an older branch"),
        pytest.param("u1 a1 u2 a2x new", "u1 a1 u2 a2x new", id="an answer left again"),
        pytest.param("u1 a1 u2 a2 new", "u1 a1 u2 a2 new", id="a tab that is behind"),
        pytest.param("u1 a1 new", "u1 a1 new", id="an edit by cutting the list"),
        pytest.param("v1 b1 new", "v1 b1 new", id="another first message"),
        pytest.param("u1 a1 u2b refused new", "u1 a1 u2b new", id="a refused message is no place"),
        pytest.param("u1 a1 u2b empty new", "u1 a1 u2b new", id="nor an answer of no words"),
        pytest.param("u1 a1 u2 new", "u1 a1 u2 new", id="a question without its answer"),
        pytest.param("u1 a1 u2", "u1 a1 u2", id="the same message again"),
        pytest.param("u1 a1 U2", "u1 a1 u2", id="an edit in its place, on an older branch"),
        pytest.param("U1", "u1", id="an edit of the first"),
    ],
)
def test_model_reads_what_a_stock_client_showed(names: str, expected: str) -> None:
    """Its list says it: the last message that the session has, on any branch, is followed."""
    assert read(plan(request(names))) == expected


@pytest.mark.parametrize(
    ("parent", "head", "expected"),
    [
        pytest.param("a2b", "a2b", "u1 a1 u2b a2b new", id="the end, as it is"),
        pytest.param("a2", "a2", "u1 a1 u2b a2b new", id="the end, as it was: others came since"),
        pytest.param("a1", "a2b", "u1 a1 new", id="an edit"),
        pytest.param("a3", "a2b", "u1 a1 u2 a2 u3 a3 new", id="an older branch"),
        pytest.param("a3", UNSET, "u1 a1 u2 a2 u3 a3 new", id="it does not say what it showed"),
        pytest.param(None, "a2b", "new", id="an edit of the first message: a new root"),
        pytest.param(None, UNSET, "new", id="a new root"),
        pytest.param(None, None, "u1 a1 u2b a2b new", id="it showed nothing: the end"),
        pytest.param(UNSET, "a2b", "u1 a1 u2b a2b new", id="it does not say what it follows"),
    ],
)
def test_model_reads_what_a_client_says_that_it_follows(
    parent: str | UnsetType | None, head: str | UnsetType | None, expected: str
) -> None:
    """`parentId` and `head`; the same in both means the end."""
    assert read(plan(request("new", parent_id=parent, head=head))) == expected


@pytest.mark.parametrize("head", ["nowhere", "a2b", UNSET])
def test_parent_that_the_session_does_not_have_is_refused(head: str | UnsetType) -> None:
    """Nothing is guessed; the client loads the messages and sends again."""
    with pytest.raises(MessageNotFoundError):
        plan(request("new", parent_id="nowhere", head=head))
    with pytest.raises(MessageNotFoundError):
        plan(request("new", parent_id="gone", head=head), deleted=["gone"])


def test_message_that_the_session_has_keeps_its_place() -> None:
    """`parentId` says where a new one goes: an edit or a retry names its message."""
    assert read(plan(request("U2", parent_id="nowhere", head="a3"))) == "u1 a1 u2"


@pytest.mark.parametrize(
    ("names", "target", "expected"),
    [
        pytest.param("u1 a1 u2b", None, "u1 a1 u2b", id="the last one sent"),
        pytest.param("u1 a1 u2", "a2", "u1 a1 u2", id="an answer of an older branch"),
        pytest.param("u1 a1 u2", None, "u1 a1 u2", id="its question"),
        pytest.param("u3", "a3", "u1 a1 u2 a2 u3", id="the last message alone"),
    ],
)
def test_regeneration_answers_on_the_branch_that_was_shown(
    names: str, target: str | None, expected: str
) -> None:
    """Even if another branch is newer."""
    decided = plan(request(names, trigger=Trigger.REGENERATE, message_id=target))
    assert (read(decided), decided.user_message) == (expected, None)


def run(writes: str, answers: str, outcome: RunOutcome | None) -> RunInfo:
    """Return the session's newest run."""
    return RunInfo(
        id=RunId("r"),
        state=RunState.OPEN if outcome is None else RunState.ENDED,
        message_id=MessageId(writes),
        user_message_id=MessageId(answers),
        trigger=Trigger.SUBMIT,
        outcome=outcome,
    )


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        pytest.param(None, "u1 a1 u2b a2b new", id="being written: the end, once it has ended"),
        pytest.param(RunOutcome.STOPPED, "u1 a1 u2 new", id="stopped before its first word"),
    ],
)
def test_answer_that_is_stored_nowhere_stands_for_its_question(
    outcome: RunOutcome | None, expected: str
) -> None:
    """A client shows it all the same, and says that the next message follows it."""
    newest = run("a9", "u2", outcome)
    said = plan(request("new", parent_id="a9", head="x"), run=newest)
    assert (read(said), read(plan(request("u1 a1 u2 a9 new"), run=newest))) == (expected, expected)


def test_deleted_messages_in_a_clients_list_are_passed_over() -> None:
    """A tab that has not heard of it can send; what was deleted is not answered again."""
    gone: dict[str, Any] = {"deleted": ["gone", "agone"]}
    assert read(plan(request("u1 gone agone new"), **gone)) == "u1 new"
    for target in ("gone", None):
        with pytest.raises(MessageNotFoundError):
            plan(request("gone", trigger=Trigger.REGENERATE, message_id=target), **gone)


def test_answer_without_its_question_is_not_shown_to_models() -> None:
    """It is the second of two answers in a row, or the first message; people still see it."""
    assert read(plan(request("u1 a1 u2b a2b new"), unasked=["a2b", "u2b"])) == "u1 a1 u2b new"


def test_older_version_of_an_answer_is_not_gone_on_with() -> None:
    """Its tools were answered on a branch that the conversation has left."""
    with pytest.raises(ConflictError):
        plan(request("a3"))


def test_versions_stand_beside_what_is_shown() -> None:
    """In the order in which they came, wherever something has more than one."""
    assert branches(session()) == {
        "u1": Versions([MessageId("u1"), MessageId("v1")], 0),
        "u2b": Versions([MessageId("u2"), MessageId("u2b")], 1),
    }
    assert branches(session("a2x"))[MessageId("a2x")] == Versions(
        [MessageId("a2"), MessageId("a2x")], 1
    )
    assert branches(session("b1")).keys() == {"v1"}


def test_message_of_a_side_run_is_no_version_of_another() -> None:
    state = session("a2")
    beside = {**state.off_path, MessageId("a2x"): OffPath(MessageId("u2"), (9, 0), side=True)}
    found = replace(state, off_path=beside)
    assert "a2" not in branches(found)
    assert following(found, found.path[:-1]) == ["a2"]


def test_what_follows_the_end_of_the_path_is_named() -> None:
    """Of a path that ends early, also the part of it that is not shown."""
    whole = session("a2x")
    assert following(whole, whole.path) == []
    assert following(whole, whole.path[:-1]) == ["a2", "a2x"]
    assert following(whole, ()) == ["u1", "v1"]
    question = session("u2b")
    assert following(question, question.path) == ["a2b"]


def test_edit_that_keeps_its_id_keeps_what_the_message_was() -> None:
    """Under an id of its own, in the same place; any other send keeps nothing."""
    state = session("u2")
    stored = state.path[-1]
    kept = earlier_version(accept(request("u1 a1 U2"), state, refuse_foreign=True), state.path)
    assert kept is not None
    assert (kept.parent_id, kept.content_hash) == ("a1", stored.content_hash)
    was = UIMessage.parse(kept.message)
    assert (was.id, was.role, was.parts) == (kept.id, "user", message("u2").parts)
    assert kept.id.startswith("msg_")
    for names in ("u1 a1 u2", "u1 a1 new"):
        sent = accept(request(names), state, refuse_foreign=True)
        assert earlier_version(sent, state.path) is None
