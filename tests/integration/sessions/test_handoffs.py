"""A person in the place of the model, and back: two gateways over one Redis."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from msgspec.structs import replace

from midstream.errors import ConflictError, ForbiddenError, SessionNotFoundError, TooLargeError
from midstream.ids import SessionId, TenantId, UserId
from midstream.sessions import HandoffLimits, open_sessions
from midstream.sessions.access import Caller, Role
from midstream.sessions.answerers.terms import Asked, Person
from midstream.store.records import RunState
from midstream.store.redis.store import RedisStore
from tests.support.played import ACME, ALICE, FAST, Reading, Script, send, user_message
from tests.support.processes import eventually

if TYPE_CHECKING:
    from midstream.sessions.service import Sessions

pytestmark = pytest.mark.anyio

S = SessionId("chat-1")
ANN = Caller(user=UserId("ann"), tenant=ACME, role=Role.OPERATOR)
BEN = Caller(user=UserId("ben"), tenant=ACME, role=Role.OPERATOR)
EVE = Caller(user=UserId("eve"), tenant=TenantId("evil"), role=Role.OPERATOR)
PLEASE = Asked(note="my order 4711", reason="refund")


async def begun(sessions: Sessions, script: Script, session: SessionId = S) -> None:
    """Have a model answer once."""
    reading = Reading(await sessions.start(ALICE, send(session, user_message("u1", "hello"))))
    played = await script.next()
    played.open()
    played.tell("I am a model.")
    played.end()
    await reading.end()


async def sent(sessions: Sessions, number: int, session: SessionId = S) -> Reading:
    """Send the visitor's next message."""
    message = user_message(f"u{number}", f"question {number}")
    return Reading(await sessions.start(ALICE, send(session, message)))


async def told(sessions: Sessions, session: SessionId = S) -> list[tuple[str, str]]:
    """Who said what, as the snapshot has it."""
    found = []
    for raw in (await sessions.snapshot(ALICE, session)).messages:
        message = json.loads(bytes(raw))
        by = message.get("metadata", {}).get("midstream", {}).get("by", {})
        texts = [part["text"] for part in message["parts"] if part["type"] == "text"]
        found.append((by.get("name", message["role"]), "".join(texts)))
    return found


async def answered_by(sessions: Sessions, session: SessionId = S) -> dict[str, Any]:
    """Who answers, as the snapshot says."""
    snapshot = await sessions.snapshot(ALICE, session)
    return json.loads(msgspec.json.encode(snapshot.answered_by))  # type: ignore[no-any-return]


async def test_person_answers_in_the_place_of_the_model_and_hands_back(
    sessions: Sessions, other: Sessions, script: Script
) -> None:
    """The visitor's response streams what they type; the model goes on knowing all of it."""
    await begun(sessions, script)
    asked = await sessions.handoffs.ask(ALICE, S, PLEASE)
    assert (asked.kind, asked.ahead) == ("waiting", 0)
    assert (await sessions.handoffs.ask(ALICE, S, Asked())).since_ms == asked.since_ms
    reading = await sent(sessions, 2)
    (row,) = await other.desk.rows(ACME)
    assert (row.id, row.place, row.user) == (S, 1, "alice")
    assert json.loads(bytes(row.asked)) == {
        "by": "alice", "note": "my order 4711", "reason": "refund"
    }  # fmt: skip

    claimed = await other.handoffs.claim(ANN, S)
    assert (claimed.kind, claimed.id) == ("person", "ann")
    assert (await answered_by(sessions))["name"] == "ann"
    assert (await other.desk.rows(ACME))[0].place is None
    await other.handoffs.answer(ANN, S, "Hello, ", done=False)
    await reading.until(lambda r: r.text == "Hello, ")
    await other.handoffs.answer(ANN, S, "Hello, I am Ann.", done=False)
    await other.handoffs.answer(ANN, S, "Hello, I am Ann. Refunded.", done=True)
    await reading.end()
    assert reading.text == "Hello, I am Ann. Refunded."

    await other.handoffs.answer(ANN, S, "Anything else?", done=True)
    await other.handoffs.hand_back(ANN, S, note="refund granted, do not ask again")
    assert (await answered_by(sessions))["kind"] == "agent"
    assert await other.desk.rows(ACME) == []
    assert script.runs.empty(), "no model was asked meanwhile"
    await sent(sessions, 3)
    history = [bytes(m.raw).decode() for m in (await script.next()).request.history]
    assert await told(sessions) == [
        ("user", "hello"),
        ("played", "I am a model."),
        ("user", "question 2"),
        ("ann", "Hello, I am Ann. Refunded."),
        ("ann", "Anything else?"),
        ("user", "question 3"),
    ]
    assert len(history) == 7
    assert "ann, a person, answered" in history[3]
    assert "Refunded." in history[3]
    assert "refund granted, do not ask again" in history[5], "the note, before what follows it"
    assert "question 3" in history[6]


async def test_hand_back_gives_the_agent_what_still_waits(
    sessions: Sessions, other: Sessions, script: Script
) -> None:
    """The visitor's response goes on with the model's answer, by any gateway."""
    await begun(sessions, script)
    await sessions.handoffs.ask(ALICE, S, PLEASE)
    reading = await sent(sessions, 2)
    await other.handoffs.claim(ANN, S)
    await other.handoffs.hand_back(ANN, S, note="answer it yourself")
    played = await script.next()
    assert played.request.history[-2].id == "u2"
    assert "answer it yourself" in bytes(played.request.history[-1].raw).decode()
    played.open()
    played.tell("As a model.")
    played.end()
    await reading.end()
    assert reading.text == "As a model."


async def test_hand_back_keeps_what_the_person_had_begun_to_say(
    sessions: Sessions, script: Script
) -> None:
    await begun(sessions, script)
    await sessions.handoffs.ask(ALICE, S, PLEASE)
    reading = await sent(sessions, 2)
    await sessions.handoffs.claim(ANN, S)
    await sessions.handoffs.answer(ANN, S, "I wanted to", done=False)
    await sessions.handoffs.hand_back(ANN, S)
    await reading.end()
    assert (await told(sessions))[-1] == ("ann", "I wanted to")
    with pytest.raises(ConflictError):
        await sessions.handoffs.answer(ANN, S, "I wanted to say", done=True)


async def test_first_claim_wins_and_the_other_is_told_who_has_it(
    sessions: Sessions, other: Sessions, script: Script
) -> None:
    await begun(sessions, script)
    await sessions.handoffs.ask(ALICE, S, PLEASE)
    claims = await asyncio.gather(
        sessions.handoffs.claim(ANN, S), other.handoffs.claim(BEN, S), return_exceptions=True
    )
    (lost,) = [claim for claim in claims if isinstance(claim, ConflictError)]
    (won,) = [claim for claim in claims if not isinstance(claim, BaseException)]
    assert lost.details["claimedBy"] == won.id
    winner, loser = (ANN, BEN) if won.id == "ann" else (BEN, ANN)
    for change in (
        sessions.handoffs.answer(loser, S, "mine", done=True),
        sessions.handoffs.release(loser, S),
        sessions.handoffs.hand_back(loser, S),
        sessions.handoffs.transfer(loser, S, Person("x", "X")),
    ):
        with pytest.raises(ConflictError):
            await change
    released = await sessions.handoffs.release(winner, S, note="he is angry")
    assert (released.kind, released.since_ms) == ("waiting", won.since_ms)
    (row,) = await sessions.desk.rows(ACME)
    assert json.loads(bytes(row.asked))["note"] == "he is angry"
    await sessions.handoffs.claim(loser, S)
    given = await sessions.handoffs.transfer(loser, S, Person(str(won.id), "W"), "yours")
    assert (given.id, given.name) == (won.id, "W")
    assert (await sessions.handoffs.answer(winner, S, "Here.", done=True)).kind == "person"


async def test_others_have_no_part_in_it(sessions: Sessions, script: Script) -> None:
    """Not the visitor at the desk, not a stranger, not an operator of another tenant."""
    await begun(sessions, script)
    with pytest.raises(ConflictError):
        await sessions.handoffs.claim(ANN, S)
    await sessions.handoffs.ask(ALICE, S, PLEASE)
    with pytest.raises(ForbiddenError):
        await sessions.handoffs.claim(ALICE, S)
    with pytest.raises(ForbiddenError):
        sessions.handoffs.check_operator(ALICE)
    with pytest.raises(SessionNotFoundError):
        await sessions.handoffs.claim(EVE, S)
    with pytest.raises(SessionNotFoundError):
        await sessions.handoffs.ask(EVE, S, PLEASE)
    assert await sessions.desk.rows(EVE.tenant) == []
    with pytest.raises(TooLargeError):
        await sessions.handoffs.answer(ANN, S, "x" * (1024 * 1024 + 1), done=True)


async def test_what_was_said_is_not_changed_and_not_said_twice(
    sessions: Sessions, script: Script
) -> None:
    await begun(sessions, script)
    await sessions.handoffs.ask(ALICE, S, PLEASE)
    reading = await sent(sessions, 2)
    for _ in range(3):
        await sessions.handoffs.answer(ANN, S, "One two", done=False)
    with pytest.raises(ConflictError):
        await sessions.handoffs.answer(ANN, S, "One three", done=False)
    await sessions.handoffs.answer(ANN, S, "One two three", done=True)
    await reading.end()
    assert reading.text == "One two three"


async def lapse(sessions: Sessions, session: SessionId) -> None:
    """A holder begins to answer, and is gone; their claim lasts for no time."""
    await sessions.handoffs.ask(ALICE, session, PLEASE)
    reading = await sent(sessions, 2, session)
    await sessions.handoffs.answer(ANN, session, "I will", done=False)

    async def waits() -> bool:
        return (await sessions.snapshot(ALICE, session)).runs[0].state is RunState.WAITING

    await eventually(waits, "the run waits again")
    assert (await answered_by(sessions, session))["kind"] == "waiting"
    await sessions.handoffs.answer(BEN, session, "I will look.", done=True)
    await reading.end()
    assert reading.text == "I will look."


async def expire(sessions: Sessions, session: SessionId, script: Script) -> None:
    """Nobody comes for as long as a session waits."""
    await sessions.handoffs.ask(ALICE, session, PLEASE)
    reading = await sent(sessions, 2, session)
    played = await script.next()
    assert "Nobody of the staff" in bytes(played.request.history[-1].raw).decode()
    played.open()
    played.tell("Nobody came.")
    played.end()
    await reading.end()
    assert reading.text == "Nobody came."
    assert session not in [row.id for row in await sessions.desk.rows(ACME)]


async def test_claim_lapses_and_wait_ends_by_themselves(redis_url: str, script: Script) -> None:
    """What a dead holder has said waits for the next one; an agent is told that nobody came."""
    async with AsyncExitStack() as stack:

        async def gateway(**waits: Any) -> Sessions:
            limits = replace(FAST, handoffs=HandoffLimits(**waits))
            store = await stack.enter_async_context(RedisStore.connect(redis_url))
            return await stack.enter_async_context(open_sessions(store, script, limits))

        expiring, lapsing = await gateway(wait_ms=5_000), await gateway(claim_ms=1)
        for session in ("expiring", "lapsing"):
            await begun(expiring, script, SessionId(session))
        await asyncio.gather(
            expire(expiring, SessionId("expiring"), script), lapse(lapsing, SessionId("lapsing"))
        )
