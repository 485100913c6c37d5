"""Messages for running answers with several people: whose turn is whose; and bad input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.api.test_queue_rights import (
    ANN,
    GUS,
    OBSERVER,
    OLGA,
    STRANGER,
    begin,
    queue,
    sent,
)
from tests.support.in_process import InProcess, code_of

if TYPE_CHECKING:
    from tests.support.callers import Person

pytestmark = pytest.mark.anyio


def words(name: str, text: str = "No") -> dict[str, Any]:
    return {"id": name, "role": "user", "parts": [{"type": "text", "text": text}]}


async def begin_speaking(app: InProcess) -> str:
    """Begin a session whose first answer does not end. What comes now is not for its first step."""
    session = await begin(app, ANN.headers())
    said = b""
    async for piece in app.follow(f"/api/chat/{session}/stream", ANN.headers()):
        said += piece
        if b"start-step" in said:
            break
    return session


async def test_turn_is_steered_by_its_sender_the_owner_and_operators_alone(
    app: InProcess, subtests: pytest.Subtests
) -> None:
    """What others say waits in the queue; it is not lost."""
    session = await begin_speaking(app)
    path = f"/api/chat/{session}/steer"
    rows: list[tuple[Person, str, int, str | None]] = [
        (ANN, "of-ann", 202, "pending"),
        (OLGA, "of-olga", 202, "pending"),
        (GUS, "of-gus", 200, "not-delivered"),
        (OBSERVER, "of-oscar", 403, None),
        (STRANGER, "of-bob", 404, None),
    ]
    for who, name, status, told in rows:
        with subtests.test(who=who.user):
            answer = await app.ask("POST", path, {"message": words(name)}, who.headers(session))
            assert (answer.status, answer.json().get("type")) == (status, told), answer.body
            if told == "not-delivered":
                assert answer.json()["reason"] == "unsupported"
    await queue(app, session, GUS, "in-queue")
    now = await app.ask(
        "POST", f"/api/chat/{session}/queue/in-queue/send-now", {"how": "steer"},
        GUS.headers(session),
    )  # fmt: skip
    assert (now.status, code_of(now.body)) == (409, "steer_not_delivered")
    seen = (await app.ask("GET", f"/api/chat/{session}", headers=ANN.headers())).json()
    assert [each["by"]["id"] for each in seen["steers"]] == ["ann", "olga"]
    assert [each["id"] for each in seen["queue"]["entries"]] == ["of-gus", "in-queue"]
    await app.ask("DELETE", f"/api/chat/{session}", headers=ANN.headers())


@pytest.mark.parametrize("many", [40, pytest.param(1_000, marks=pytest.mark.release)])
async def test_bad_input_gets_a_clear_answer_and_loses_nothing(
    app: InProcess, subtests: pytest.Subtests, many: int
) -> None:
    session = await begin_speaking(app)
    path = f"/api/chat/{session}/steer"
    await app.ask("POST", path, {"message": words("s1")}, ANN.headers())
    large = words("large", "x" * 1_100_000)
    rows: list[tuple[str, str, dict[str, Any], int, str]] = [
        ("the same id with other words", path, {"message": words("s1", "Yes")}, 409, "conflict"),
        ("a message that was sent", path, {"message": words("u1")}, 409, "conflict"),
        ("a large message", path, {"message": large}, 413, "too_large"),
        ("8 MB", path, {"message": words("8", "x" * 8_500_000)}, 413, "too_large"),
        ("no message", path, {}, 400, "invalid_request"),
        ("no words", path, {"message": {**words("s2"), "parts": []}}, 400, "invalid_request"),
        ("an assistant's", path, {"message": {**words("s2"), "role": "assistant"}}, 400,
         "invalid_request"),
        ("two ids", path, {"message": words("s2"), "id": "s3"}, 400, "invalid_request"),
        ("a long wait", path, {"message": words("s2"), "waitMs": 60_000}, 400, "invalid_request"),
        ("no session", "/api/chat/nobody/steer", {"message": words("s2")}, 404,
         "session_not_found"),
    ]  # fmt: skip
    for name, at, body, status, code in rows:
        with subtests.test(name):
            answer = await app.ask("POST", at, body, ANN.headers())
            assert (answer.status, code_of(answer.body)) == (status, code), answer.body
    full = 0
    for number in range(many):
        answer = await app.ask("POST", path, {"message": words(f"n{number}")}, ANN.headers())
        full += answer.status == 409
        assert answer.status == 202 or code_of(answer.body) == "queue_full"
    assert full == many - 31  # s1 and 31 others wait
    kept = (await app.ask("GET", f"/api/chat/{session}", headers=ANN.headers())).json()["steers"]
    assert [each["id"] for each in kept] == ["s1", *(f"n{number}" for number in range(31))]
    refused = await app.ask(
        "POST", "/api/chat", sent(session, "q", onActive="queue"), ANN.headers()
    )
    assert code_of(refused.body) == "queue_full"
    erased = await app.ask("DELETE", f"/api/chat/{session}", headers=ANN.headers())
    assert erased.status == 204
    answer = await app.ask("POST", path, {"message": words("s9")}, ANN.headers())
    assert code_of(answer.body) == "session_not_found"
