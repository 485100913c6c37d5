"""All of a user: who may have it, what an export holds, and what an erasure leaves."""

from __future__ import annotations

import asyncio
import json
from itertools import count
from typing import TYPE_CHECKING, Any, Final

import pytest

from midstream import create_app
from midstream.settings.sections import RedisSettings, ServerSettings, Settings
from tests.support.callers import SECRET, TENANT, Person, Worker
from tests.support.in_process import InProcess, code_of
from tests.support.processes import eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import redis

    from tests.integration.api.conftest import Served

pytestmark = pytest.mark.anyio

_numbers: Final = count()


def a_person(tenant: str = TENANT, name: str | None = None) -> Person:
    """Return somebody whom no other test knows."""
    return Person(tenant, name or f"user{next(_numbers)}")


def of(person: Person) -> str:
    return f"/api/users/{person.user}"


async def send(app: InProcess, who: Person, text: str, chat: str = "", **more: object) -> str:
    """Send a message to a session; return its id."""
    chat = chat or f"chat-of-user-{next(_numbers)}"
    message = {
        "id": f"u{next(_numbers)}",
        "role": "user",
        "parts": [{"type": "text", "text": text}],
    }
    body = {"id": chat, "messages": [message], "trigger": "submit-message", **more}
    answer = await app.ask("POST", "/api/chat", body, who.headers(), whole="rate" not in text)
    assert answer.status == 200, answer.body
    return chat


async def export(
    app: InProcess, who: Person, of_whom: Person, query: str = ""
) -> list[dict[str, Any]]:
    answer = await app.ask("GET", f"{of(of_whom)}/export{query}", headers=who.headers(), whole=True)
    assert answer.status == 200, answer.body
    return [json.loads(line) for line in answer.body.splitlines()]


async def erase(app: InProcess, who: Person, of_whom: Person, query: str = "") -> Any:
    answer = await app.ask("DELETE", f"{of(of_whom)}{query}", headers=who.headers())
    assert answer.status == 200, answer.body
    return answer.json()


async def test_export_has_every_branch_of_every_session_and_says_that_it_is_whole(
    app: InProcess,
) -> None:
    """The path that is shown comes first; an edited question is there with its answer, too."""
    ann = a_person()
    edited = await send(app, ann, "before [[tokens=3]]")
    look = (await app.ask("GET", f"/api/chat/{edited}", headers=ann.headers())).json()
    last = look["messages"][-1]["id"]
    await send(app, ann, "after [[tokens=3]]", edited, parentId=None, head=last)
    other = await send(app, ann, "other [[tokens=3]]")

    *sessions, end = await export(app, ann, ann)
    assert end == {"type": "end", "format": 1, "sessions": 2}
    assert [session["id"] for session in sessions] == [other, edited]
    messages = sessions[1]["messages"]
    said = [m["message"]["parts"][0]["text"] for m in messages if m["message"]["role"] == "user"]
    assert said == ["after [[tokens=3]]", "before [[tokens=3]]"]
    assert len(messages) == 4
    assert sessions[1]["head"] == messages[1]["message"]["id"]


async def test_erasure_stops_what_runs_and_leaves_nothing_but_counters(
    app: InProcess, raw_redis: redis.Redis
) -> None:
    """No key holds a word of the user, and their readers are told; others go on."""
    ann, bob = a_person(), a_person()
    word = f"secret{next(_numbers)}"
    running = await send(app, ann, f"{word} [[tokens=90000 rate=20]]")
    await send(app, ann, f"{word} [[tokens=3]]")
    kept = await send(app, bob, "mine [[tokens=3]]")
    told = asyncio.Event()

    async def follow() -> None:
        async for piece in app.follow(f"/api/chat/{running}/events", ann.headers()):
            if b"event: erased" in piece:
                told.set()
                return

    following = asyncio.create_task(follow())

    async def is_here() -> bool:
        look = await app.ask("GET", f"/api/chat/{running}", headers=ann.headers())
        return bool(look.json()["presence"])

    await eventually(is_here, "the follower is there")
    assert await erase(app, ann, ann) == {"sessions": 2}
    async with asyncio.timeout(30):
        await told.wait()
        await following

    assert await erase(app, ann, ann) == {"sessions": 0}
    assert await export(app, ann, ann) == [{"type": "end", "format": 1, "sessions": 0}]
    assert holding(raw_redis, word.encode()) == []
    left = [
        key for key in map(bytes, raw_redis.scan_iter(f"*{ann.user}*")) if b":limit:" not in key
    ]
    assert left == []
    assert [s["id"] for s in await export(app, bob, bob) if s["type"] == "session"] == [kept]


def holding(raw: redis.Redis, word: bytes) -> list[bytes]:
    """Return the keys whose values hold a word, wherever they stand in Redis."""
    keys = [bytes(key) for key in raw.scan_iter("*")]
    return [key for key in keys if word in (raw.dump(key) or b"")]


async def test_own_people_and_operators_may_and_nobody_else(app: InProcess) -> None:
    """An admin names the tenant; the same `sub` in another tenant is another person."""
    ann = a_person()
    namesake = a_person("b", ann.user)
    await send(app, ann, "hers [[tokens=3]]")
    theirs = await send(app, namesake, "not hers [[tokens=3]]")
    operator = Person(TENANT, "olga", "operator")
    admin = Person("b", "root", "admin")

    for who, status in (
        (Person(TENANT, "bob"), 403),
        (Person(TENANT, "oskar", "observer"), 403),
        (Person("b", "olga", "operator"), 200),  # of the namesake, in their own tenant
        (operator, 200),
    ):
        answer = await app.ask("GET", f"{of(ann)}/export", headers=who.headers(), whole=True)
        assert answer.status == status, (who, answer.body)
        assert (b"hers [[" in answer.body.replace(b"not hers", b"")) == (who is operator)
    for who in (Person(TENANT, "bob"), Person(TENANT, "oskar", "observer")):
        answer = await app.ask("DELETE", of(ann), headers=who.headers())
        assert (answer.status, code_of(answer.body)) == (403, "forbidden")
    worker = await app.ask("DELETE", of(ann), headers=Worker("a-any", ann.user).headers())
    assert worker.status in (401, 403)

    crossing = await app.ask("DELETE", f"{of(ann)}?tenant=b", headers=operator.headers())
    assert (crossing.status, code_of(crossing.body)) == (403, "forbidden"), "only an admin crosses"
    assert await erase(app, operator, ann, f"?tenant={TENANT}") == {"sessions": 1}
    assert [s["id"] for s in (await export(app, admin, ann, "?tenant=b"))[:-1]] == [theirs]
    assert await erase(app, admin, ann, f"?tenant={TENANT}") == {"sessions": 0}
    assert await erase(app, admin, namesake) == {"sessions": 1}


async def test_user_of_many_sessions_is_erased_whole_while_they_begin_more(
    app: InProcess,
) -> None:
    """Over a page; what they begin after the request stays."""
    ann = a_person()
    chats = await asyncio.gather(*(send(app, ann, "one [[tokens=1]]") for _ in range(12)))
    erasing = asyncio.create_task(erase(app, ann, ann))
    later = await asyncio.gather(*(send(app, ann, "more [[tokens=1]]") for _ in range(3)))
    assert (await erasing)["sessions"] >= len(chats)
    left = {s["id"] for s in (await export(app, ann, ann))[:-1]}
    assert left <= set(later)


async def test_export_of_what_is_erased_meanwhile_is_whole_without_it(app: InProcess) -> None:
    """The session is there or not; the last line counts those that are."""
    ann = a_person()
    await asyncio.gather(*(send(app, ann, "one [[tokens=1]]") for _ in range(6)))
    lines, erased = await asyncio.gather(export(app, ann, ann), erase(app, ann, ann))
    *sessions, end = lines
    assert erased == {"sessions": 6}
    assert end["sessions"] == len(sessions)


async def test_gateway_without_tokens_does_not_tell_users_apart(redis_url: str) -> None:
    settings = Settings(redis=RedisSettings(url=redis_url), server=ServerSettings())
    gateway = create_app(settings)
    async with gateway.open():
        app = InProcess(gateway)
        for method, path in (("DELETE", "/api/users/me"), ("GET", "/api/users/me/export")):
            answer = await app.ask(method, path)
            assert (answer.status, code_of(answer.body)) == (400, "invalid_request")


@pytest.mark.release
async def test_own_redis_has_nothing_of_an_erased_user_on_its_disk(
    start: Callable[..., Served], tmp_path: Path
) -> None:
    """Neither in the append-only file nor in its base: it is written anew by the erasure."""
    served = start(MIDSTREAM_AUTH_MODE="jwt", MIDSTREAM_AUTH_SECRET=SECRET).wait_serving()
    ann, bob = a_person(), a_person()
    for who, word in ((ann, "sesame-of-ann"), (bob, "sesame-of-bob")):
        message = {"id": "u1", "role": "user", "parts": [{"type": "text", "text": word}]}
        body = {"id": f"chat-{who.user}", "messages": [message], "trigger": "submit-message"}
        at = served.at.asking_as(who.headers()["authorization"].removeprefix("Bearer "))
        async with at.request("POST", "/api/chat", body) as response:
            assert response.status == 200
            await response.body()

    def on_disk(word: bytes) -> bool:
        files = [path for path in tmp_path.rglob("*") if path.is_file() and "aof" in path.name]
        assert files
        return any(word in path.read_bytes() for path in files)

    await eventually(lambda: on_disk(b"sesame-of-ann"), "it is on the disk")
    at = served.at.asking_as(ann.headers()["authorization"].removeprefix("Bearer "))
    assert (await at.call("DELETE", of(ann)))[0] == 200
    await eventually(lambda: not on_disk(b"sesame-of-ann"), "it is gone from the disk")
    assert on_disk(b"sesame-of-bob")
