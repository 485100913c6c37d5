"""Who gets what: every role, relation and tenant, at every route that the application has.

One rule says what is `expected`, and a row for each thing that a route does how to ask for it.
A route without a row fails the first test: say there whom it serves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import product
from typing import Any, Final, Literal, TypeAlias

import pytest
from msgspec import Struct

from tests.support.asking import (
    CHUNK,
    SAID,
    Place,
    a_call,
    a_send,
    frame,
    get,
    message,
    numbers,
    post,
    proxied,
    says_it,
    v4_message,
)
from tests.support.callers import KEYS, OF_NO_SESSION, OWNER, TENANT, WRITER, Person, Worker
from tests.support.in_process import InProcess, code_of
from tests.support.processes import eventually
from tests.unit.gateway.api.fakes import Answer

pytestmark = pytest.mark.anyio

Outcome: TypeAlias = Literal["served", "forbidden", "hidden", "refused"]
Kind: TypeAlias = Literal["ended", "running", "pushed", "proxied"]

PEOPLE: Final = [
    Person(tenant, user, role, granted)
    for tenant, user, role, granted in product(
        (TENANT, "b", ""), (OWNER, "bob"), ("user", "observer", "operator", "admin"), (False, True)
    )
]
WORKERS: Final = [Worker(key, user) for key, user in product(KEYS, (None, OWNER, "bob"))]


class Row(Struct, frozen=True):
    """One thing that a route does.

    Attributes:
        access: to the session: `read`, `write`, `operate` (by operators), or `push` (by an agent).
        ask: makes the request.
        served: whether an answer that is no error is that of the session, as it is.
        kind: of session that it is asked of.
        spoils: the session is another after it was served.
        names_agent: the request says as which agent it is made.
    """

    route: str
    access: Literal["read", "write", "operate", "push"]
    ask: Callable[[InProcess, Place, Mapping[str, str]], Any]
    served: Callable[[Answer], bool] = lambda answer: answer.status == 200
    kind: Kind = "ended"
    spoils: bool = False
    names_agent: bool = False


ROWS: Final = [
    Row("POST /api/chat", "write", post("/api/chat", a_send), spoils=True),
    Row(
        "POST /api/chat",
        "write",
        post("/api/chat?protocol=v4", lambda place: {"id": place.id, "messages": [v4_message()]}),
        spoils=True,
    ),
    Row(
        "POST /api/ag-ui/{name:str}",
        "write",
        post(
            "/api/ag-ui/assistant",
            lambda place: {
                "threadId": place.id,
                "runId": f"run{next(numbers)}",
                "messages": [{"id": f"m{next(numbers)}", "role": "user", "content": "mine now"}],
            },
        ),
        lambda answer: b"RUN_STARTED" in answer.body,
        spoils=True,
    ),
    Row("GET /api/chat", "read", get("/api/chat?follow={0.id}@"), says_it),
    Row("GET /api/chat", "read", get("/api/chat?follow={0.id}@e:0-0&tabs={0.id}@3"), says_it),
    Row("GET /api/chat/{chat_id:str}", "read", get("/api/chat/{0.id}"), says_it),
    Row("GET /api/chat/{chat_id:str}/diagnosis", "write", get("/api/chat/{0.id}/diagnosis")),
    Row("GET /api/chat/{chat_id:str}/events", "read", get("/api/chat/{0.id}/events"), says_it),
    Row(
        "GET /api/chat/{chat_id:str}/events",
        "read",
        get("/api/chat/{0.id}/events?after=e:0-0&present=false"),
        says_it,
    ),
    Row(
        "GET /api/chat/{chat_id:str}/stream",
        "read",
        get("/api/chat/{0.id}/stream"),
        kind="running",
    ),
    Row("GET /api/chat/{chat_id:str}/stream", "read", get("/api/chat/{0.id}/stream?after=0")),
    Row(
        "GET /api/chat/{chat_id:str}/stream",
        "read",
        get("/api/chat/{0.id}/stream?startIndex=0"),
        lambda answer: answer.status == 200 and b"start-step" in answer.body,
        kind="running",
    ),
    Row(
        "POST /api/chat/{chat_id:str}/stop",
        "write",
        post("/api/chat/{0.id}/stop", lambda _: {}),
        lambda answer: b"run_" in answer.body,
        kind="running",
        spoils=True,
    ),
    Row(
        "DELETE /api/chat/{chat_id:str}",
        "write",
        lambda app, place, headers: app.ask("DELETE", f"/api/chat/{place.id}", headers=headers),
        lambda answer: answer.status == 204,
        spoils=True,
    ),
    Row(
        "DELETE /api/chat/{chat_id:str}/messages/{message_id:str}",
        "write",
        lambda app, place, headers: app.ask(
            "DELETE", f"/api/chat/{place.id}/messages/nowhere", headers=headers
        ),
        lambda answer: b"message_not_found" in answer.body,
    ),
    Row(
        "POST /api/chat/{chat_id:str}/steer",
        "write",
        post(
            "/api/chat/{0.id}/steer",
            lambda _: {"message": message(), "onUndelivered": "return"},
        ),
        lambda answer: b"finished" in answer.body,
    ),
    Row(
        "POST /api/chat/{chat_id:str}/select",
        "write",
        post("/api/chat/{0.id}/select", lambda _: {"messageId": "nowhere"}),
        lambda answer: b"message_not_found" in answer.body,
    ),
    Row(
        "DELETE /api/chat/{chat_id:str}/messages",
        "write",
        lambda app, place, headers: app.ask(
            "DELETE", f"/api/chat/{place.id}/messages", headers=headers
        ),
        lambda answer: answer.status == 204,
        spoils=True,
    ),
    *(
        Row(
            f"POST /api/chat/{{chat_id:str}}/handoff/{what}",
            "operate",
            post(f"/api/chat/{{0.id}}/handoff/{what}", lambda _, body=body: body),  # type: ignore[misc]
            lambda answer: code_of(answer.body) == "conflict",  # nobody waits in it
        )
        for what, body in (
            ("claim", {}),
            ("release", {}),
            ("transfer", {"to": {"id": "bob", "name": "Bob"}}),
            ("answer", {"text": "mine now"}),
        )
    ),
    Row(
        "POST /api/chat/{chat_id:str}/handoff/hand-back",
        "operate",
        post("/api/chat/{0.id}/handoff/hand-back", lambda _: {}),
    ),
    Row(
        "POST /api/chat/{chat_id:str}/handoff",
        "write",
        post("/api/chat/{0.id}/handoff", lambda _: {}),
        spoils=True,
    ),
    *(
        Row(route, "write", made, lambda answer: code_of(answer.body) == "message_not_found")
        for route, made in (
            (
                "PATCH /api/chat/{chat_id:str}/queue/{entry_id:str}",
                lambda app, place, headers: app.ask(
                    "PATCH", f"/api/chat/{place.id}/queue/none", {"before": None}, headers
                ),
            ),
            (
                "DELETE /api/chat/{chat_id:str}/queue/{entry_id:str}",
                lambda app, place, headers: app.ask(
                    "DELETE", f"/api/chat/{place.id}/queue/none", headers=headers
                ),
            ),
            (
                "POST /api/chat/{chat_id:str}/queue/{entry_id:str}/send-now",
                post("/api/chat/{0.id}/queue/none/send-now", lambda _: {}),
            ),
        )
    ),
    Row(
        "DELETE /api/chat/{chat_id:str}/queue",
        "write",
        lambda app, place, headers: app.ask(
            "DELETE", f"/api/chat/{place.id}/queue", headers=headers
        ),
    ),
    Row(
        "POST /api/chat/{chat_id:str}/queue/resume",
        "write",
        post("/api/chat/{0.id}/queue/resume", lambda _: {}),
    ),
    Row(
        "WEBSOCKET /api/chat",
        "write",
        lambda app, place, headers: frame(
            type="send", messages=[message()], trigger="submit-message"
        )(app, place, headers),
        lambda answer: b'"start"' in answer.body,
        spoils=True,
    ),
    Row(
        "WEBSOCKET /api/chat",
        "read",
        frame(type="resume"),
        lambda answer: b'"start"' in answer.body,
        kind="running",
    ),
    Row("GET /api/demo/worker/{chat_id:str}", "write", get("/api/demo/worker/{0.id}")),
    Row(
        "POST /api/demo/kill",
        "write",
        post("/api/demo/kill", lambda place: {"id": place.id}),
        # Found, and nobody is at a run of it.
        lambda answer: code_of(answer.body) == "run_not_found",
    ),
    Row(
        "POST /api/agent/runs",
        "push",
        post(
            "/api/agent/runs",
            lambda place: {
                "id": place.id,
                "key": f"k{next(numbers)}",
                "text": "mine now",
                "agent": WRITER,
            },
        ),
        spoils=True,
        names_agent=True,
    ),
    Row(
        "POST /api/agent/runs/{chat_id:str}/{run_id:str}/chunks",
        "push",
        post("/api/agent/runs/{0.id}/{0.run}/chunks?fence={0.fence}&first=1", lambda _: CHUNK),
        kind="pushed",
        spoils=True,
    ),
    Row(
        "POST /api/agent/runs/{chat_id:str}/{run_id:str}/renew",
        "push",
        post("/api/agent/runs/{0.id}/{0.run}/renew?fence={0.fence}", lambda _: {}),
        kind="pushed",
    ),
    Row(
        "POST /api/agent/runs/{chat_id:str}/{run_id:str}/end",
        "push",
        post(
            "/api/agent/runs/{0.id}/{0.run}/end?fence={0.fence}",
            lambda _: {"first": 1, "outcome": "finished"},
        ),
        kind="pushed",
        spoils=True,
    ),
    Row(
        "POST /api/agent/turns/{chat_id:str}/{run_key:str}/end",
        "push",
        post("/api/agent/turns/{0.id}/k/end", lambda _: {}),
        kind="proxied",
        spoils=True,
    ),
    Row(
        "ASGI /proxy",
        "push",
        lambda app, place, headers: app.ask(
            "POST",
            "/proxy/simulator/v1/messages",
            a_call(place),
            {**headers, **proxied(place.id)},
        ),
        spoils=True,
        names_agent=True,
    ),
]


def expected(row: Row, who: Person | Worker) -> Outcome:
    """Return the answer that is due to a person at a row."""
    allowed = KEYS[who.key].agents if isinstance(who, Worker) else ()
    is_other = bool(allowed) and WRITER not in allowed
    if is_other and row.names_agent:
        return "forbidden"
    if row.access == "operate" and getattr(who, "role", "") not in ("operator", "admin"):
        return "forbidden"
    if row.access == "operate":
        return "served" if who.tenant == TENANT or who.crosses else "hidden"
    if who.tenant != TENANT and not who.crosses:
        return "hidden"
    if who.is_trusted:
        return "forbidden" if is_other else "served"
    if isinstance(who, Person) and who.role == "observer":
        return "served" if row.access == "read" else "forbidden"
    return "hidden"


def judged(row: Row, answer: Answer) -> Outcome:
    """Return the kind of answer that came."""
    code = code_of(answer.body)
    if answer.status == 401 or code == "unauthorized":
        return "refused"
    if answer.status == 403 or code == "forbidden":
        return "forbidden"
    return "served" if row.served(answer) else "hidden"


class Places:
    """Sessions of ann's: one of each kind at a time, a new one where the last was spoilt."""

    def __init__(self, app: InProcess) -> None:
        self._app = app
        self._ann = Person(TENANT, OWNER).headers("")
        self._kept: dict[Kind, tuple[Place, object]] = {}

    async def get(self, kind: Kind) -> Place:
        if kind not in self._kept:
            place = await self._make(kind, f"chat-{next(numbers)}")
            self._kept[kind] = place, await self._look(place)
        return self._kept[kind][0]

    async def is_untouched(self, kind: Kind) -> bool:
        place, before = self._kept[kind]
        return await self._look(place) == before

    async def spoilt(self, kind: Kind) -> None:
        place, _ = self._kept.pop(kind)
        if kind == "running":
            await self._app.ask("DELETE", f"/api/chat/{place.id}", headers=self._ann)

    async def _make(self, kind: Kind, session: str) -> Place:
        if kind == "pushed":
            body = {"id": session, "key": "k", "text": SAID, "agent": WRITER}
            worker = Worker("a-any", OWNER).headers(session)
            answer = (await self._app.ask("POST", "/api/agent/runs", body, worker)).json()
            return Place(session, answer["runId"], answer["fence"])
        if kind == "proxied":
            call = {**proxied(session), **Worker("a-any", OWNER).headers(session)}
            answer = await self._app.ask(
                "POST",
                "/proxy/simulator/v1/messages",
                a_call(Place(session)),
                {**call, "x-midstream-run": "k"},
            )
            assert answer.status == 200, answer.body
            await eventually(partial(self._has_ended, session), "the turn's run has ended")
            return Place(session)
        text = f"{SAID} [[tokens=5]]" if kind == "ended" else f"{SAID} [[tokens=90000 rate=20]]"
        sent = {**a_send(Place(session)), "messages": [message(text)]}
        whole = kind == "ended"
        answer = await self._app.ask("POST", "/api/chat", sent, self._ann, whole=whole)
        assert answer.status == 200, answer.body
        return Place(session, answer.headers["x-midstream-run-id"])

    async def _has_ended(self, session: str) -> bool:
        """Whether the session's run has; its caller has the answer a moment before."""
        path = f"/api/chat/{session}"
        (run,) = (await self._app.ask("GET", path, headers=self._ann)).json()["runs"]
        return bool(run["state"] == "ended")

    async def _look(self, place: Place) -> object:
        """Return the state that a foreigner's write would change. Presence is no part of it."""
        path = f"/api/chat/{place.id}"
        seen = (await self._app.ask("GET", path, headers=self._ann)).json()
        assert seen["id"] == place.id, seen
        return seen["epoch"], seen["messages"], seen["runs"]


async def test_every_route_of_the_application_is_in_the_table(app: InProcess) -> None:
    """A new route needs a row: its effect on a session, and the people that it serves."""
    assert app.routes() == {row.route for row in ROWS} | OF_NO_SESSION.keys()


async def test_every_caller_gets_what_the_rule_says_at_every_route(app: InProcess) -> None:
    """A session of another tenant answers as one that does not exist, and stays as it is."""
    places = Places(app)
    wrong: list[object] = []
    for row in ROWS:
        for who in WORKERS if row.access == "push" else PEOPLE:
            place = await places.get(row.kind)
            answer = await row.ask(app, place, who.headers(place.id))
            got, due = judged(row, answer), expected(row, who)
            if got != due:
                wrong.append((row.route, who, due, got, answer.status, answer.body[:200]))
            if due == "hidden" and not await _is_as_missing(app, row, place, who, answer):
                wrong.append((row.route, who, "not as a missing one", answer.body[:200]))
            if due != "served" and not await places.is_untouched(row.kind):
                wrong.append((row.route, who, "has changed the session"))
            if row.spoils and "served" in (due, got):
                await places.spoilt(row.kind)
    assert wrong == [], "\n".join(map(str, wrong[:20]))


async def _is_as_missing(
    app: InProcess, row: Row, place: Place, who: Person | Worker, answer: Answer
) -> bool:
    """Whether an answer is that of a session that does not exist.

    A message to one would begin it, so the refusal of a look at the session is the measure there.
    """
    if says_it(answer):
        return False
    begins = {
        "POST /api/chat",
        "POST /api/ag-ui/{name:str}",
        "WEBSOCKET /api/chat",
        "POST /api/agent/runs",
        "ASGI /proxy",
    }
    if row.route in begins and row.access != "read":
        return code_of(answer.body) == "session_not_found"
    missing = Place(f"none-{next(numbers)}", place.run, place.fence)
    other = await row.ask(app, missing, who.headers(place.id))
    same_id = other.body.replace(missing.id.encode(), place.id.encode())
    return (other.status, same_id) == (answer.status, answer.body)


async def test_nobody_without_a_token_or_a_key_gets_anything_of_a_session(app: InProcess) -> None:
    """Nor with the other's: a token is no agent key, and a key no token."""
    places = Places(app)
    person, worker = Person(TENANT, OWNER), Worker("a-any", OWNER)
    for row in ROWS:
        place = await places.get(row.kind)
        other = person if row.access == "push" else worker
        for headers in ({}, other.headers(place.id), {"authorization": "Bearer made-up"}):
            assert judged(row, await row.ask(app, place, headers)) == "refused", row.route
        assert await places.is_untouched(row.kind)
    for route, whom in OF_NO_SESSION.items():
        method, _, path = route.partition(" ")
        path = path.replace("{chat_id:str}", "c").replace("{name:str}", "n")
        answer = await app.ask(method, path.replace("{path:str}", "openapi.json"), headers={})
        assert (answer.status == 401) == (whom == "a person"), route
        assert SAID.encode() not in answer.body
