"""The queue of a session with several people: whose entries are whose; and what settings say."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from midstream import create_app
from midstream.settings.chat import ChatSettings
from midstream.settings.sections import AuthSettings
from tests.support import callers
from tests.support.callers import OWNER, TENANT, Person
from tests.support.in_process import InProcess, code_of

if TYPE_CHECKING:
    from pathlib import Path

    from midstream import Gateway

pytestmark = pytest.mark.anyio

ANN = Person(TENANT, OWNER)
GUS = Person(TENANT, "gus", granted=True)
OLGA = Person(TENANT, "olga", role="operator")
OBSERVER = Person(TENANT, "oscar", role="observer")
STRANGER = Person(TENANT, "bob")

_numbers = count()


def sent(session: str, name: str, text: str = "More [[tokens=2]]", **more: Any) -> dict[str, Any]:
    message = {"id": name, "role": "user", "parts": [{"type": "text", "text": text}]}
    return {"id": session, "messages": [message], "trigger": "submit-message", **more}


async def begin(app: InProcess, headers: dict[str, str]) -> str:
    """Begin a session whose first answer does not end."""
    session = f"queue-{next(_numbers)}"
    body = sent(session, "u1", "[[tokens=90000 rate=20]]")
    answer = await app.ask("POST", "/api/chat", body, headers)
    assert answer.status == 200, answer.body
    return session


async def queue(app: InProcess, session: str, who: Person, name: str) -> None:
    headers = {**who.headers(session), "prefer": "respond-async"}
    answer = await app.ask("POST", "/api/chat", sent(session, name, onActive="queue"), headers)
    assert answer.status == 202, answer.body


async def test_entry_is_changed_by_its_sender_the_owner_and_operators_alone(
    app: InProcess, subtests: pytest.Subtests
) -> None:
    session = await begin(app, ANN.headers())
    path = f"/api/chat/{session}/queue"
    await queue(app, session, ANN, "of-ann")
    for number in range(3):
        await queue(app, session, GUS, f"of-gus-{number}")
    snapshot = (await app.ask("GET", f"/api/chat/{session}", headers=ANN.headers())).json()
    assert [entry["by"]["id"] for entry in snapshot["queue"]["entries"]] == ["ann", *["gus"] * 3]
    rows: list[tuple[Person, str, str, int, str | None]] = [
        (GUS, "DELETE", "/of-ann", 403, "forbidden"),
        (GUS, "PATCH", "/of-ann", 403, "forbidden"),
        (GUS, "POST", "/of-ann/send-now", 403, "forbidden"),
        (GUS, "DELETE", "", 403, "forbidden"),
        (OBSERVER, "DELETE", "/of-gus-0", 403, "forbidden"),
        (STRANGER, "DELETE", "/of-gus-0", 404, "session_not_found"),
        (STRANGER, "POST", "/resume", 404, "session_not_found"),
        (GUS, "DELETE", "/of-gus-0", 200, None),
        (ANN, "DELETE", "/of-gus-1", 200, None),
        (OLGA, "DELETE", "/of-gus-2", 200, None),
    ]
    for who, method, place, status, code in rows:
        with subtests.test(who=who.user, method=method, place=place):
            body = {"before": None} if method == "PATCH" else None
            answer = await app.ask(method, f"{path}{place}", body, who.headers(session))
            assert (answer.status, code_of(answer.body)) == (status, code)
    left = (await app.ask("GET", f"/api/chat/{session}", headers=OLGA.headers())).json()["queue"]
    assert [entry["id"] for entry in left["entries"]] == ["of-ann"]
    await app.ask("DELETE", f"/api/chat/{session}", headers=ANN.headers())


@pytest.fixture
def configured(redis_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> Gateway:
    """A gateway with an `on_active` of its own, and of its agent."""
    general, of_agent = request.param
    settings = callers.guarded_settings(redis_url, tmp_path)
    agents = {name: replace(agent, on_active=of_agent) for name, agent in settings.agents.items()}
    chat = ChatSettings(on_active=general)
    return create_app(
        replace(settings, auth=AuthSettings(), agent_keys={}, agents=agents, chat=chat)
    )


@pytest.mark.parametrize(
    ("configured", "says", "status"),
    [
        (("refuse", None), None, 409),
        (("queue", None), None, 202),
        (("refuse", "queue"), None, 202),
        (("queue", "refuse"), None, 409),
        (("queue", None), "refuse", 409),
        (("interrupt", None), None, 200),
        (("refuse", None), "queue", 202),
    ],
    indirect=["configured"],
)
async def test_settings_say_what_a_message_does_while_an_answer_is_written(
    configured: Gateway, says: str | None, status: int
) -> None:
    """The request comes first, then its agent, then the gateway."""
    async with configured.open():
        app = InProcess(configured)
        session = await begin(app, {})
        more = {} if says is None else {"onActive": says}
        answer = await app.ask(
            "POST", "/api/chat", sent(session, "u2", **more), {"prefer": "respond-async"}
        )
        assert answer.status == status, answer.body
        await app.ask("DELETE", f"/api/chat/{session}")
