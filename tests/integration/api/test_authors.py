"""Who said what in a session of several people, as its snapshot and its stream tell."""

from __future__ import annotations

import json
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.callers import OWNER, TENANT, Person, Worker
from tests.support.processes import eventually

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.in_process import InProcess

pytestmark = pytest.mark.anyio

ANN = Person(TENANT, OWNER, name="Ann \u202eLee")
GUS = Person(TENANT, "gus", granted=True, name="Gus")
OLGA = Person(TENANT, "olga", role="operator")
FORGED = {"midstream": {"by": {"id": "olga", "role": "operator", "kind": "person", "name": "O"}}}

_numbers = count()


def said(name: str, text: str = "Hello", **more: Any) -> dict[str, Any]:
    parts = [{"type": "text", "text": text}]
    return {"id": name, "role": "user", "parts": parts, "metadata": {**FORGED, "mood": 1}, **more}


async def send(
    app: InProcess, session: str, who: Person | Worker, message: Mapping[str, Any], **more: Any
) -> Any:
    body = {"id": session, "messages": [message], "trigger": "submit-message", **more}
    answer = await app.ask("POST", "/api/chat", body, who.headers(session), whole=True)
    assert answer.status == 200, answer.body
    return answer


async def snapshot(app: InProcess, session: str) -> Any:
    answer = await app.ask("GET", f"/api/chat/{session}", headers=ANN.headers())
    assert answer.status == 200, answer.body
    return answer.json()


async def messages(app: InProcess, session: str) -> list[Any]:
    shown: list[Any] = (await snapshot(app, session))["messages"]
    return shown


def by(message: Any) -> Any:
    return message["metadata"]["midstream"]["by"]


async def test_each_message_names_its_author_whatever_its_sender_writes(app: InProcess) -> None:
    session = f"authors-{next(_numbers)}"
    answer = await send(app, session, ANN, said("u1"))
    await send(app, session, GUS, said("u2"))
    await send(app, session, ANN, said("u2"))  # the same again, by another person
    await send(app, session, OLGA, said("u3", "An edit"))
    await send(app, session, ANN, said("u3", "Edited"))
    shown = await messages(app, session)
    assert [by(each) for each in shown] == [
        {"id": "ann", "role": "user", "kind": "person", "name": "Ann Lee"},
        agent := {"id": "assistant", "role": "agent", "kind": "agent", "name": "assistant"},
        {"id": "gus", "role": "user", "kind": "person", "name": "Gus"},
        agent,
        {"id": "ann", "role": "user", "kind": "person", "name": "Ann Lee"},
        agent,
    ]
    assert shown[0]["metadata"]["mood"] == 1
    lines = (line for line in answer.body.split(b"\n") if line.startswith(b"data: {"))
    start = json.loads(next(lines).removeprefix(b"data: "))
    assert start["type"] == "start"
    assert start["messageMetadata"]["midstream"]["by"] == agent


async def test_message_that_waited_names_who_sent_it_and_not_who_changed_it(
    app: InProcess,
) -> None:
    session = f"authors-{next(_numbers)}"
    body = {"id": session, "messages": [said("u1", "[[tokens=90000 rate=20]]")]}
    await app.ask("POST", "/api/chat", {**body, "trigger": "submit-message"}, ANN.headers())
    headers = {**GUS.headers(session), "prefer": "respond-async"}
    queued = {"id": session, "messages": [said("u2")], "trigger": "submit-message"}
    answer = await app.ask("POST", "/api/chat", {**queued, "onActive": "queue"}, headers)
    assert answer.status == 202, answer.body
    path = f"/api/chat/{session}/queue/u2"
    change = {"message": said("u2", "Changed")}
    answer = await app.ask("PATCH", path, change, OLGA.headers(session))
    assert answer.status == 200, answer.body
    gus = {"id": "gus", "role": "user", "kind": "person", "name": "Gus"}
    [entry] = (await snapshot(app, session))["queue"]["entries"]
    assert (entry["by"], by(entry["message"])) == (gus, gus)
    assert entry["message"]["parts"][0]["text"] == "Changed"
    answer = await app.ask("POST", f"{path}/send-now", None, OLGA.headers(session))
    assert answer.status == 200, answer.body

    async def has_its_turn() -> bool:
        return len(await messages(app, session)) >= 3

    await eventually(has_its_turn, "the message is in the session")
    shown = await messages(app, session)
    assert [by(each) for each in shown if each["id"] == "u2"] == [gus]


async def test_programs_are_agents_by_the_name_of_their_key(app: InProcess) -> None:
    session = f"authors-{next(_numbers)}"
    await send(app, session, ANN, said("u1"))
    body = {"id": session, "key": "k", "messages": [said("u2")], "agent": "poet"}
    worker = Worker("a-poet", None)
    answer = await app.ask("POST", "/api/agent/runs", body, worker.headers())
    assert answer.status in (200, 201), answer.body
    shown = await messages(app, session)
    author = by(next(each for each in shown if each["id"] == "u2"))
    assert (author["kind"], author["name"]) == ("agent", "a-poet")


async def test_message_that_is_said_while_a_person_is_awaited_names_its_author(
    app: InProcess,
) -> None:
    """Both that which opens the wait and those that join it; and the person who then answers."""
    session = f"authors-{next(_numbers)}"
    await send(app, session, ANN, said("u1"))
    handoff = f"/api/chat/{session}/handoff"
    assert (await app.ask("POST", handoff, {"note": "help"}, ANN.headers())).status == 200
    for who, name in ((ANN, "u2"), (GUS, "u3")):
        body = {"id": session, "messages": [said(name)], "trigger": "submit-message"}
        headers = {**who.headers(session), "content-type": "application/json"}
        answer = await app.ask("POST", "/api/chat", body, headers)
        assert b'"waiting"' in answer.body
    answer = await app.ask("POST", f"{handoff}/answer", {"text": "Here."}, OLGA.headers())
    assert answer.status == 200, answer.body

    assert [by(each) for each in (await messages(app, session))[2:]] == [
        {"id": "ann", "role": "user", "kind": "person", "name": "Ann Lee"},
        {"id": "gus", "role": "user", "kind": "person", "name": "Gus"},
        {"id": "olga", "role": "operator", "kind": "person", "name": "olga"},
    ]


async def test_prompt_of_a_side_run_names_the_program_that_asks(app: InProcess) -> None:
    session = f"authors-{next(_numbers)}"
    worker = Worker("a-any", OWNER)
    body = {"id": session, "key": "main", "messages": [said("u1")], "agent": "poet"}
    assert (await app.ask("POST", "/api/agent/runs", body, worker.headers())).status == 200
    beside = {**body, "key": "side", "messages": [said("u2")], "side": True}
    assert (await app.ask("POST", "/api/agent/runs", beside, worker.headers())).status == 200

    look = await app.ask("GET", f"/api/chat/{session}?side=true", headers=ANN.headers())
    [prompt] = [each for each in look.json()["messages"] if each["id"] == "u2"]
    assert by(prompt) == {"id": "ann", "role": "user", "kind": "agent", "name": "a-any"}
