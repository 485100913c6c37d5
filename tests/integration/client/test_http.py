"""The wire of pushed runs, as other languages speak it: what is refused, and what stays usable."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jwt
import pytest

from tests.support.gateway import merged
from tests.support.push import AGENT_KEY, PATIENT, PUSH_ENVIRONMENT, answer_of
from tests.support.sessions import Session, text_of
from tests.support.wire import ConnectionLost, Endpoint

if TYPE_CHECKING:
    from tests.support.fixtures import Deployment

pytestmark = pytest.mark.anyio

SECRET = "s" * 40
BEGIN = b'{"type":"start-step"}\n{"type":"text-start","id":"t"}\n'
HELLO = b'{"type":"text-delta","id":"t","delta":"Hello"}'


@dataclass
class Pushing:
    """A worker of another language: one claimed run."""

    at: Endpoint
    session: str
    run: str = ""
    fence: int = 0

    async def claim(self, key: str = "job", **body: object) -> tuple[int, Any]:
        """Claim, and remember what was claimed."""
        asked = {"id": self.session, "key": key, "text": "Go.", **body}
        status, answer = await self.at.call("POST", "/api/agent/runs", asked)
        if status == 200:
            self.run, self.fence = answer["runId"], answer.get("fence", 0)
        return status, answer

    async def post(self, verb: str, body: object, **query: object) -> tuple[int, Any]:
        """Send one of the other requests."""
        asked = "&".join(
            f"{name}={value}" for name, value in {"fence": self.fence, **query}.items()
        )
        path = f"/api/agent/runs/{self.session}/{self.run}/{verb}?{asked}"
        return await self.at.call("POST", path, body)

    async def append(self, first: int, body: bytes, **query: object) -> tuple[int, Any]:
        """Append chunks."""
        return await self.post("chunks", body, first=first, **query)


def code(answer: tuple[int, Any]) -> tuple[int, str]:
    """Status and code of a refusal."""
    return answer[0], str(answer[1]["error"]["code"])


def keyed(at: Endpoint, **headers: str) -> Endpoint:
    """The same place, asked with the agent key."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Endpoint(at.port, {**at.headers, "authorization": f"Bearer {AGENT_KEY}", **named})


async def test_bad_requests_are_refused_and_the_run_ends_well_all_the_same(
    own_deployment: Deployment,
) -> None:
    """Each with its code; nothing of them is written."""
    gateway = own_deployment.add_gateway(PATIENT, environment=PUSH_ENVIRONMENT)
    session = own_deployment.session()
    worker = Pushing(keyed(gateway.at), session.id)
    assert (await worker.claim())[1]["next"] == 1
    assert await worker.append(1, BEGIN) == (200, {"next": 3})
    assert await worker.append(1, BEGIN) == (200, {"next": 3})

    stranger = Pushing(gateway.at, session.id, worker.run, worker.fence)
    wrong = Endpoint(gateway.at.port, {"authorization": "Bearer " + "w" * 30})
    assert code(await stranger.append(3, HELLO)) == (401, "unauthorized")
    assert code(await stranger.claim()) == (401, "unauthorized")
    stranger.at = wrong
    assert code(await stranger.append(3, HELLO)) == (401, "unauthorized")
    stranger.at = keyed(gateway.at, x_midstream_user="bob")
    assert code(await stranger.append(3, HELLO)) == (404, "session_not_found")
    assert code(await stranger.claim()) == (404, "session_not_found")

    assert code(await worker.append(3, HELLO, fence=7)) == (409, "fenced")
    status, gap = await worker.append(9, HELLO)
    assert (status, gap["error"]["code"], gap["error"]["next"]) == (409, "sequence_gap", 3)
    for bad in (b'{"type":', b"<html>", b'{"type":"text-end","id":"other"}', b"\xff"):
        status, refused = await worker.append(3, bad + b"\n" + HELLO)
        assert (status, refused["error"]["code"]) == (400, "illegal_chunk")
        assert (refused["error"]["index"], refused["error"]["next"]) == (0, 3)
    huge = b'{"type":"text-delta","id":"t","delta":"%b"}' % (b"x" * 10_000_000)
    with suppress(ConnectionLost):  # it may be refused before it is read
        assert code(await worker.append(3, huge)) == (413, "too_large")
    assert code(await Pushing(worker.at, "no id").claim()) == (400, "invalid_request")
    elsewhere = Pushing(worker.at, session.id, "run_of_nobody", 1)
    assert code(await elsewhere.append(1, BEGIN)) == (404, "run_not_found")
    assert code(await worker.claim("other-job", text="And?")) == (409, "run_active")

    assert await worker.append(3, HELLO) == (200, {"next": 4})
    end = {"first": 4, "outcome": "finished"}
    ended = await worker.post("end", end)
    assert ended == await worker.post("end", end) == (200, {"next": 7})
    assert code(await worker.append(7, HELLO)) == (409, "run_ended")
    assert code(await worker.post("end", {**end, "outcome": "failed"})) == (409, "run_ended")
    assert text_of(await answer_of(session)) == "Hello"
    assert (await worker.claim("next-job", text="And?"))[0] == 200
    assert AGENT_KEY not in gateway.process.output()


async def test_agent_begins_sessions_for_users_where_people_have_tokens(
    own_deployment: Deployment,
) -> None:
    """It must say whose they are; to one that exists it may write without."""
    settings = merged(PATIENT, {"auth": {"mode": "jwt"}})
    gateway = own_deployment.add_gateway(
        settings, environment={**PUSH_ENVIRONMENT, "MIDSTREAM_AUTH_SECRET": SECRET}
    )
    session = own_deployment.session()
    nameless = Pushing(keyed(gateway.at), session.id)
    assert code(await nameless.claim()) == (400, "invalid_request")
    worker = Pushing(keyed(gateway.at, x_midstream_user="auth0|7"), session.id)
    assert (await worker.claim())[0] == 200
    assert await worker.post("end", {"first": 1, "outcome": "finished"}) == (200, {"next": 2})
    assert (await nameless.claim("job-2", text="More?"))[0] == 200

    token = jwt.encode({"sub": "auth0|7", "exp": 4_000_000_000}, SECRET, algorithm="HS256")
    owner = Session(gateway.at.asking_as(token), session.id)
    assert len((await owner.snapshot())["messages"]) == 3
    # A person's token is no agent key, and the agent key no person's token.
    person = Pushing(gateway.at.asking_as(token), session.id)
    assert code(await person.claim()) == (401, "unauthorized")
    status, _ = await keyed(gateway.at).call("GET", f"/api/chat/{session.id}")
    assert status == 401
