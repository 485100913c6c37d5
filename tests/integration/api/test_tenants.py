"""Tenants beside each other: what one's people do leaves no trace at another's."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.support.callers import OWNER, TENANT, WRITER, Person, Worker
from tests.support.in_process import InProcess, code_of
from tests.support.processes import eventually

if TYPE_CHECKING:
    import redis

pytestmark = pytest.mark.anyio

ANN: Final = Person(TENANT, OWNER).headers()
BOB: Final = Person(TENANT, "bob").headers()
OPERATOR: Final = Person(TENANT, "olga", "operator").headers()
THEIR_ANN: Final = Person("b", OWNER).headers()
THEIR_ADMIN: Final = Person("b", OWNER, "admin").headers()
SAID: Final = "sesame"

_numbers: Final = count()


def session() -> str:
    return f"chat-{next(_numbers)}"


def a_send(chat: str, text: object = SAID, **more: object) -> dict[str, object]:
    parts = [{"type": "text", "text": text}]
    message = {"id": "u1", "role": "user", "parts": parts}
    return {"id": chat, "messages": [message], "trigger": "submit-message", **more}


async def send(app: InProcess, chat: str, who: dict[str, str], **more: object) -> list[str]:
    """Begin a session; return how its run ended."""
    answer = await app.ask("POST", "/api/chat", a_send(chat, **more), who, whole=True)
    assert answer.status == 200, answer.body
    return [run["outcome"] for run in (await look(app, chat, who))["runs"]]


async def look(app: InProcess, chat: str, who: dict[str, str]) -> Any:
    return (await app.ask("GET", f"/api/chat/{chat}", headers=who)).json()


async def test_follower_of_another_tenant_sees_nothing_of_a_session_that_begins(
    app: InProcess,
) -> None:
    """They waited for it, under its id: the snapshot stays empty, and nobody sees them there."""
    chat = session()
    body, seen = b"", asyncio.Event()

    async def follow() -> None:
        nonlocal body
        async for piece in app.follow(f"/api/chat/{chat}/events", THEIR_ANN):
            body += piece
            seen.set()

    following = asyncio.create_task(follow())
    await seen.wait()
    assert await send(app, chat, ANN) == ["finished"]
    assert (await look(app, chat, ANN))["presence"] == []
    assert (await app.ask("DELETE", f"/api/chat/{chat}", headers=ANN)).status == 204
    # Then it is theirs: all that came before this was theirs to see.
    assert await send(app, chat, THEIR_ANN, text="abracadabra") == ["finished"]
    async with asyncio.timeout(30):
        while b"abracadabra" not in body:
            seen.clear()
            await seen.wait()
    following.cancel()
    await asyncio.wait({following})
    assert SAID.encode() not in body
    assert body.count(b'"runs":[]') >= 1


@pytest.mark.parametrize(
    ("who", "prevents"),
    [(ANN, True), (OPERATOR, True), (BOB, False), (THEIR_ANN, False), (THEIR_ADMIN, False)],
    ids=["owner", "operator", "another user", "another tenant", "an admin"],
)
@pytest.mark.parametrize("named", [{"messageId": "u1"}, {"requestId": "r1"}], ids=str)
async def test_stop_before_a_session_counts_if_its_author_may_write_in_it(
    app: InProcess, who: dict[str, str], named: dict[str, str], prevents: bool
) -> None:
    """A foreign stop under an id does not stop the first message of the id's owner."""
    chat = session()
    answer = await app.ask("POST", f"/api/chat/{chat}/stop", named, who)
    assert answer.json() == {"stopped": []}
    assert await send(app, chat, ANN, requestId="r1") == ["stopped" if prevents else "finished"]


async def test_list_has_the_sessions_of_one_tenants_user(app: InProcess) -> None:
    """The same `sub` in another tenant, and in none, is another person."""
    mine, theirs, nobodys = session(), session(), session()
    of_none = Person("", OWNER).headers()
    for chat, who in ((mine, ANN), (theirs, THEIR_ANN), (nobodys, of_none)):
        assert await send(app, chat, who) == ["finished"]
    for chat, who in ((mine, ANN), (theirs, THEIR_ANN), (nobodys, of_none), (theirs, THEIR_ADMIN)):
        listed = (await app.ask("GET", "/api/chats", headers=who)).json()["chats"]
        assert [each["id"] for each in listed] == [chat]
    assert (await app.ask("DELETE", f"/api/chat/{mine}", headers=ANN)).status == 204
    assert (await app.ask("GET", "/api/chats", headers=ANN)).json() == {"chats": []}


async def test_admin_of_another_tenant_is_not_taken_for_the_owner_of_that_name(
    app: InProcess,
) -> None:
    """Presence and stops name people together with their tenant."""
    chat = session()
    await app.ask("POST", "/api/chat", a_send(chat, "[[tokens=90000 rate=20]]"), ANN)
    seen = asyncio.Event()

    async def follow(who: dict[str, str]) -> None:
        async for _ in app.follow(f"/api/chat/{chat}/events", who):
            seen.set()

    followers = [asyncio.create_task(follow(who)) for who in (ANN, THEIR_ADMIN)]

    async def are_there() -> bool:
        here = (await look(app, chat, ANN))["presence"]
        return [(each["user"], each["tabs"]) for each in here] == [("ann", 1), ("b/ann", 1)]

    await eventually(are_there, "both are there")
    stopped = await app.ask("POST", f"/api/chat/{chat}/stop", {}, THEIR_ADMIN)
    assert len(stopped.json()["stopped"]) == 1
    [run] = (await look(app, chat, ANN))["runs"]
    assert run["stoppedBy"] == "b/ann"
    for each in followers:
        each.cancel()
    await asyncio.wait(followers)


async def test_session_of_before_there_were_tenants_is_that_of_tokens_without_one(
    app: InProcess, raw_redis: redis.Redis
) -> None:
    """It has no such field; it is not everybody's, and its owner has it in their list."""
    of_none, chat = Person("", OWNER).headers(), session()
    await send(app, chat, of_none)
    assert raw_redis.hdel(f"ms:{{{chat}}}:meta", "tenant") == 1
    assert await send(app, chat, of_none) == ["finished"]
    assert (await look(app, chat, of_none))["id"] == chat
    assert code_of((await app.ask("GET", f"/api/chat/{chat}", headers=ANN)).body) is not None
    listed = (await app.ask("GET", "/api/chats", headers=of_none)).json()["chats"]
    assert [each["id"] for each in listed] == [chat]


@pytest.mark.parametrize(
    ("key", "user", "status"),
    [
        ("a-any", OWNER, 200),
        ("a-any", None, 400),
        ("a-owner", OWNER, 403),
        ("a-owner", None, 403),
        ("a-poet", OWNER, 200),
        ("b-any", OWNER, 200),
    ],
)
async def test_agent_key_begins_sessions_of_its_tenant_for_users_that_a_request_names(
    app: InProcess, key: str, user: str | None, status: int
) -> None:
    """`users = "owner"` begins none, and without a user there would be no owner."""
    chat, worker = session(), Worker(key, user)
    claim = {"id": chat, "key": "k", "text": SAID, "agent": WRITER}
    answer = await app.ask("POST", "/api/agent/runs", claim, worker.headers())
    assert answer.status == status, answer.body
    found = (await app.ask("GET", f"/api/chat/{chat}", headers=ANN)).status == 200
    assert found == (status == 200 and worker.tenant == TENANT)


async def test_agent_key_takes_no_run_of_an_agent_that_it_does_not_name(app: InProcess) -> None:
    """Not by the run's own key, under a name of its own either."""
    chat = session()
    claim = {"id": chat, "key": "k", "text": SAID, "agent": WRITER}
    first = await app.ask("POST", "/api/agent/runs", claim, Worker("a-poet", OWNER).headers())
    assert first.status == 200
    for name, code in ((WRITER, "forbidden"), ("prose", "forbidden")):
        other = Worker("a-other", OWNER).headers()
        answer = await app.ask("POST", "/api/agent/runs", {**claim, "agent": name}, other)
        assert (answer.status, answer.error) == (403, code)
    again = await app.ask("POST", "/api/agent/runs", claim, Worker("a-poet", OWNER).headers())
    assert again.json()["fence"] == first.json()["fence"] + 1
