"""`/api/agent/runs`: what its requests are read as, how they are answered, who may."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw

from midstream.api.auth.agent_keys import AgentKey, AgentKeys
from midstream.errors import IllegalChunkPushedError, RunEndedError, SequenceGapError
from midstream.ids import RunId, SessionId, UserId
from midstream.protocol.chunks import StartChunk
from midstream.sessions.access import Caller
from midstream.sessions.types import Attempt, Pushed, PushedEnd, PushedRun, PushLimits, Renewal
from midstream.settings.sections import ServerSettings
from midstream.store.calls import RunKey
from midstream.store.records import RunOutcome, RunState
from tests.unit.gateway.api.fakes import RUN, Answer, FakeSessions, make_app, request

pytestmark = pytest.mark.anyio

KEY = "agent-key-of-the-worker-1f2e3d"
CLAIM = {"id": "c1", "key": "job-1", "text": "Hello"}
APPEND = "/api/agent/runs/c1/run_1/chunks?fence=2&first=1"
CHUNK = b'{"type":"start-step"}'
END = {"first": 1, "outcome": "finished"}


class FakePushed:
    """Records its calls, and answers them with `answer`; an exception is raised."""

    def __init__(self, answer: Any = None) -> None:
        self.limits = PushLimits()
        self.answer = answer
        self.calls: list[tuple[Any, ...]] = []

    def _answer(self, *call: Any) -> Any:
        self.calls.append(call)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def claim(self, *call: Any) -> Any:
        return self._answer(*call)

    async def append(self, *call: Any) -> Any:
        return self._answer(*call)

    async def renew(self, *call: Any) -> Any:
        return self._answer(*call)

    async def end(self, *call: Any) -> Any:
        return self._answer(*call)


async def post(
    pushed: FakePushed, target: str, body: object, headers: dict[str, str] | None = None, **app: Any
) -> Answer:
    made = make_app(FakeSessions(pushed=pushed), **app)
    return await request(made, "POST", target, body, headers)


@pytest.mark.parametrize(
    "body",
    [
        {"text": "Hello"},
        {"message": {"id": "m", "role": "user", "parts": [{"type": "text", "text": "Hello"}]}},
        {"messages": [{"id": "m", "role": "user", "parts": [{"type": "text", "text": "Hello"}]}]},
    ],
)
async def test_claim_is_read_as_a_send_with_a_key(body: dict[str, Any]) -> None:
    """A text's message has the same id in every attempt, another one for another key."""
    pushed = FakePushed(PushedRun(run=RUN, fence=1, next=1, stored=[StartChunk(message_id="m1")]))
    for key in ("job-1", "job-1", "job-2"):
        answer = await post(pushed, "/api/agent/runs", {"id": "c1", "key": key, "x": 1, **body})
        assert answer.status == 200
    assert answer.json() == {
        "runId": "run_1",
        "messageId": "m1",
        "fence": 1,
        "next": 1,
        "leaseMs": 8000,
        "maxBytes": 8 * 1024 * 1024,
        "chunks": [{"type": "start", "messageId": "m1"}],
    }
    caller, start, agent, attempt = pushed.calls[0]
    assert (caller, agent) == (Caller(address="127.0.0.1"), "pushed")
    assert attempt == Attempt()
    assert (start.session_id, start.request_key, bytes(start.body)) == ("c1", "job-1", b'{"x":1}')
    message = json.loads(bytes(start.messages[-1].raw))
    assert (message["role"], message["parts"][0]["text"]) == ("user", "Hello")
    ids = [call[1].messages[-1].id for call in pushed.calls]
    assert ids[0] == ids[1]
    assert (ids[2] == ids[0]) is ("text" not in body)


async def test_claim_of_an_ended_run_says_how_it_ended() -> None:
    """Without a fence there is nothing to write."""
    ended = RUN.__class__(
        id=RUN.id,
        state=RunState.ENDED,
        message_id=RUN.message_id,
        user_message_id=RUN.user_message_id,
        trigger=RUN.trigger,
        outcome=RunOutcome.STOPPED,
    )
    answer = await post(FakePushed(PushedRun(run=ended, fence=0)), "/api/agent/runs", CLAIM)
    assert answer.json() == {
        "runId": "run_1",
        "messageId": "m1",
        "leaseMs": 8000,
        "maxBytes": 8 * 1024 * 1024,
        "outcome": "stopped",
    }


async def test_append_passes_lines_on_and_tells_of_a_stop() -> None:
    """One chunk a line; empty lines are none."""
    pushed = FakePushed(Pushed(next=3, stopped_by="ann"))
    answer = await post(pushed, APPEND, CHUNK + b"\r\n\n" + CHUNK)
    assert answer.json() == {"next": 3, "stoppedBy": "ann"}
    (call,) = pushed.calls
    key = RunKey(session_id=SessionId("c1"), run_id=RunId("run_1"), fence=2)
    assert call == (Caller(address="127.0.0.1"), key, 1, [CHUNK + b"\r", CHUNK])


async def test_renewal_and_end_are_read() -> None:
    """The wait is in milliseconds, as the lease is."""
    pushed = FakePushed(Renewal())
    answer = await post(pushed, "/api/agent/runs/c1/run_1/renew?fence=2&waitMs=2500", b"")
    assert answer.json() == {"leaseMs": 8000}
    assert pushed.calls[-1][2:] == (2.5, None, None)
    await post(pushed, "/api/agent/runs/c1/run_1/renew?fence=2&leaseMs=60000", b"")
    assert pushed.calls[-1][2:] == (0.0, None, 60_000)
    pushed.answer = Pushed(next=9)
    body = {**END, "chunks": [{"type": "start-step"}], "metadata": {"a": 1}, "finishReason": "stop"}
    answer = await post(pushed, "/api/agent/runs/c1/run_1/end?fence=2", body)
    assert answer.json() == {"next": 9}
    ending = pushed.calls[-1][2]
    assert isinstance(ending, PushedEnd)
    assert [json.loads(line) for line in ending.lines] == [{"type": "start-step"}]
    assert (ending.outcome, ending.finish_reason) == ("finished", "stop")
    assert ending.metadata is not None and json.loads(bytes(ending.metadata)) == {"a": 1}


async def test_renewal_names_the_messages_that_the_worker_has_and_brings_the_others() -> None:
    """Only a body that names them asks for any."""
    pushed = FakePushed(Renewal(steers=[Raw(b'{"id":"s2"}')]))
    target = "/api/agent/runs/c1/run_1/renew?fence=2"
    for body, known in (({"steers": ["s1"]}, ["s1"]), ({"steers": []}, []), ({}, None)):
        answer = await post(pushed, target, body)
        assert pushed.calls[-1][2:] == (0.0, known, None)
        assert answer.json() == {"leaseMs": 8000, "steers": [{"id": "s2"}]}


async def test_claim_says_whether_its_worker_reads_messages() -> None:
    pushed = FakePushed(PushedRun(run=RUN, fence=1, next=1))
    for field, reads in (({}, False), ({"steering": True}, True), ({"steering": False}, False)):
        await post(pushed, "/api/agent/runs", {**CLAIM, **field})
        _, start, _, attempt = pushed.calls[-1]
        assert (attempt.reads, bytes(start.body)) == (reads, b"{}")


async def test_claim_says_which_run_its_side_run_works_for() -> None:
    pushed = FakePushed(PushedRun(run=RUN, fence=1, next=1))
    for field, side, parent in (
        ({}, False, None),
        ({"side": True}, True, None),
        ({"side": True, "parentRunId": "run_1"}, True, "run_1"),
    ):
        await post(pushed, "/api/agent/runs", {**CLAIM, **field})
        _, start, _, _ = pushed.calls[-1]
        assert (start.side, start.parent_run_id, bytes(start.body)) == (side, parent, b"{}")


UNREADABLE: list[tuple[str, object]] = [
    ("/api/agent/runs", {**CLAIM, "side": True, "parentRunId": "run 1"}),
    ("/api/agent/runs", {**CLAIM, "side": "yes"}),
    ("/api/agent/runs", b"{"),
    ("/api/agent/runs", b"[]"),
    ("/api/agent/runs", {}),
    ("/api/agent/runs", {"id": "c1", "text": "Hello"}),
    ("/api/agent/runs", {"key": "job", "text": "Hello"}),
    ("/api/agent/runs", {"id": "c1", "key": "job"}),
    ("/api/agent/runs", {"id": "c1", "key": "a\njob", "text": "Hello"}),
    ("/api/agent/runs", {"id": "c 1", "key": "job", "text": "Hello"}),
    ("/api/agent/runs", {"id": "c1", "key": "job", "text": 3}),
    ("/api/agent/runs", {**CLAIM, "agent": "an agent"}),
    ("/api/agent/runs", {**CLAIM, "attempt": -1}),
    ("/api/agent/runs", {**CLAIM, "attempt": "first"}),
    ("/api/agent/runs", {**CLAIM, "onRetry": "again"}),
    ("/api/agent/runs/c1/run_1/chunks?first=1", CHUNK),
    ("/api/agent/runs/c1/run_1/chunks?fence=1", CHUNK),
    ("/api/agent/runs/c1/run_1/chunks?fence=0&first=1", CHUNK),
    ("/api/agent/runs/c1/run_1/chunks?fence=1&first=0", CHUNK),
    ("/api/agent/runs/c1/run_1/chunks?fence=x&first=1", CHUNK),
    ("/api/agent/runs/c%7D1/run_1/chunks?fence=1&first=1", CHUNK),
    ("/api/agent/runs/c1/run%7B/chunks?fence=1&first=1", CHUNK),
    (APPEND, b""),
    (APPEND, b"\n" * 10),
    (APPEND, b"\n" * 20_002 + CHUNK),
    (APPEND, (CHUNK + b"\n") * 10_001),
    ("/api/agent/runs/c1/run_1/renew", b""),
    ("/api/agent/runs/c1/run_1/renew?fence=1&waitMs=-1", b""),
    ("/api/agent/runs/c1/run_1/renew?fence=1", b"{"),
    ("/api/agent/runs/c1/run_1/renew?fence=1", {"steers": 3}),
    ("/api/agent/runs/c1/run_1/renew?fence=1", {"steers": ["s"] * 101}),
    ("/api/agent/runs", {**CLAIM, "steering": "yes"}),
    ("/api/agent/runs/c1/run_1/end", END),
    ("/api/agent/runs/c1/run_1/end?fence=1", b"{"),
    ("/api/agent/runs/c1/run_1/end?fence=1", {}),
    ("/api/agent/runs/c1/run_1/end?fence=1", {**END, "first": 0}),
    ("/api/agent/runs/c1/run_1/end?fence=1", {**END, "outcome": "interrupted"}),
    ("/api/agent/runs/c1/run_1/end?fence=1", {**END, "finishReason": "bored"}),
    ("/api/agent/runs/c1/run_1/end?fence=1", {**END, "metadata": 3}),
    ("/api/agent/runs/c1/run_1/end?fence=1", {**END, "errorText": "x" * 2_001}),
    ("/api/agent/runs/c1/run_1/end?fence=1", {**END, "reason": "x"}),
]


async def test_request_that_cannot_be_read_is_refused_before_anything_is_done(
    subtests: pytest.Subtests,
) -> None:
    """400, with a sentence; no session is asked."""
    for target, body in UNREADABLE:
        with subtests.test(f"{target} {str(body)[:80]}"):
            pushed = FakePushed()
            answer = await post(pushed, target, body)
            assert (answer.status, answer.error, pushed.calls) == (400, "invalid_request", [])


async def test_chunk_over_the_limit_is_refused() -> None:
    """413; the rest of it is not read."""
    pushed = FakePushed()
    huge = b'{"type":"text-delta","id":"t","delta":"%b"}' % (b"x" * 5_000)
    answer = await post(pushed, APPEND, huge, server=ServerSettings(max_body_bytes=4_096))
    assert (answer.status, answer.error, pushed.calls) == (413, "too_large", [])


REFUSALS: list[tuple[Exception, int, dict[str, object]]] = [
    (IllegalChunkPushedError("unable", index=3, next=4), 400, {"index": 3, "next": 4}),
    (SequenceGapError("unable", next=4), 409, {"next": 4}),
    (RunEndedError("unable", outcome="failed"), 409, {"outcome": "failed"}),
]


async def test_refusal_says_what_a_client_needs(subtests: pytest.Subtests) -> None:
    """Its code, and where to go on from."""
    for error, status, details in REFUSALS:
        with subtests.test(type(error).__name__):
            answer = await post(FakePushed(error), APPEND, CHUNK)
            assert answer.status == status
            assert details.items() <= answer.json()["error"].items()


@pytest.mark.parametrize(
    ("headers", "user"),
    [
        ({"authorization": f"Bearer {KEY}", "x-midstream-user": "ann"}, "ann"),
        ({"x-midstream-key": KEY}, ""),
        ({"x-midstream-key": "wrong-key-of-sixteen"}, None),
        ({}, None),
    ],
)
async def test_agents_key_is_checked_for_every_request(
    headers: dict[str, str], user: str | None
) -> None:
    """401 without; with it, the request is the user's that it names."""
    keys = AgentKeys({"worker": AgentKey(KEY)}, tokens_required=False)
    for target, body, answered in (
        ("/api/agent/runs", CLAIM, PushedRun(run=RUN, fence=1)),
        (APPEND, CHUNK, Pushed(next=2)),
        ("/api/agent/runs/c1/run_1/renew?fence=1", b"", Renewal()),
        ("/api/agent/runs/c1/run_1/end?fence=1", END, Pushed(next=2)),
    ):
        pushed = FakePushed(answered)
        answer = await post(pushed, target, body, headers, agent_keys=keys)
        assert answer.status == (401 if user is None else 200)
        callers = [call[0] for call in pushed.calls]
        named = [] if user is None else [Caller(user=UserId(user), agent_key="worker")]
        assert callers == named
        assert KEY.encode() not in answer.body
