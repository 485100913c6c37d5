"""`/api/chat` over HTTP: requests as calls of the sessions, and their results as responses."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec import Raw

from midstream.api.auth.agent_keys import AgentKey, AgentKeys
from midstream.errors import (
    DrainingError,
    NotRecoveredError,
    RunActiveError,
    RunNotFoundError,
    SessionNotFoundError,
    StoreUnavailableError,
)
from midstream.ids import ANONYMOUS, NO_TENANT, SessionId
from midstream.protocol.chunks import (
    ErrorChunk,
    FinishChunk,
    StartChunk,
    TextDeltaChunk,
    ToolOutputDeniedChunk,
)
from midstream.protocol.position import Position
from midstream.sessions.types import FeedEvent, Snapshot
from midstream.settings.sections import ServerSettings
from midstream.store.records import SessionMeta, Trigger
from tests.unit.gateway.api.fakes import (
    BODY,
    RUN,
    WHOLE_RUN,
    FakeReader,
    FakeSessions,
    batch,
    data_lines,
    make_app,
    request,
)

pytestmark = pytest.mark.anyio


# -- send ---------------------------------------------------------------------------------


async def test_send_streams_the_run() -> None:
    """A POST is answered with the run's chunks, each with its sequence, then `[DONE]`."""
    answer = await request(make_app(FakeSessions()), "POST", "/api/chat", BODY)
    assert answer.status == 200
    assert answer.body == (
        b':\n\nid: 0\ndata: {"type":"start","messageId":"m1"}\n\n'
        b'id: 1\ndata: {"type":"text-delta","id":"t","delta":"Hello"}\n\n'
        b'id: 2\ndata: {"type":"finish"}\n\ndata: [DONE]\n\n'
    )


async def test_send_tells_agents_the_headers_that_they_may_forward() -> None:
    """And no others: what a browser sends by itself stays here."""
    sessions = FakeSessions()
    app = make_app(sessions, forwarded=("x-tenant", "x-absent"))
    await request(app, "POST", "/api/chat", BODY, {"x-tenant": "t", "cookie": "c"})
    [call] = sessions.called("start")
    assert call["request"].headers == {"x-tenant": "t"}


async def test_send_tells_no_agent_an_agent_key() -> None:
    """In any header: a backend must not have the key."""
    sessions = FakeSessions()
    keys = AgentKeys({"worker": AgentKey("key-of-a-worker-1f2e3d")}, tokens_required=False)
    app = make_app(sessions, forwarded=("x-a", "x-b"), agent_keys=keys)
    headers = {"x-a": "token=key-of-a-worker-1f2e3d", "x-b": "b"}
    await request(app, "POST", "/api/chat", BODY, headers)
    [call] = sessions.called("start")
    assert call["request"].headers == {"x-b": "b"}


async def test_send_answers_with_the_headers_that_clients_and_proxies_need() -> None:
    """The protocol's name, the run's id, and nothing that may buffer or cache."""
    answer = await request(make_app(FakeSessions()), "POST", "/api/chat", BODY)
    assert answer.headers == {
        "content-type": "text/event-stream",
        "cache-control": "no-cache, no-transform",
        "x-accel-buffering": "no",
        "x-vercel-ai-ui-message-stream": "v1",
        "x-midstream-run-id": "run_1",
        "x-workflow-run-id": "c1~run_1",
    }


async def test_send_hands_on_what_the_request_says() -> None:
    """All that the AI SDK and our own transport put into the body reaches the sessions."""
    sessions = FakeSessions()
    body = {
        **BODY,
        "trigger": "regenerate-message",
        "messageId": "m9",
        "onActive": "interrupt",
        "agent": "helper",
        "model": "large",
        "requestId": "key-1",
        "temperature": 2,
    }
    await request(make_app(sessions), "POST", "/api/chat", body)
    start = sessions.called("start")[0]["request"]
    assert start.session_id == "c1"
    assert start.trigger is Trigger.REGENERATE
    assert (start.message_id, start.on_active) == ("m9", "interrupt")
    assert (start.agent, start.model, start.request_key) == ("helper", "large", "key-1")
    assert msgspec.json.decode(start.body) == {"temperature": 2}


async def test_send_without_an_id_begins_a_session_of_its_own() -> None:
    """WorkflowChatTransport sends `text/plain` and no chat id; a header has the new one."""
    sessions = FakeSessions()
    answer = await request(
        make_app(sessions),
        "POST",
        "/api/chat",
        {"messages": BODY["messages"]},
        {"content-type": "text/plain;charset=UTF-8"},
    )
    session_id = sessions.called("start")[0]["request"].session_id
    assert session_id.startswith("chat_")
    assert answer.headers["x-workflow-run-id"] == f"{session_id}~run_1"


async def test_send_as_text_streams_the_text_alone() -> None:
    """`?protocol=text` serves TextStreamChatTransport."""
    answer = await request(make_app(FakeSessions()), "POST", "/api/chat?protocol=text", BODY)
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.body == b"Hello"
    assert answer.complete


async def test_send_as_text_breaks_off_when_the_run_fails() -> None:
    """Plain text has no error: a clean end would be success."""
    failed = [
        batch(0, TextDeltaChunk(id="t", delta="Hel")),
        batch(1, ErrorChunk(error_text="no"), FinishChunk()),
    ]
    sessions = FakeSessions({"start": FakeReader(failed)})
    answer = await request(make_app(sessions), "POST", "/api/chat?protocol=text", BODY)
    assert answer.body == b"Hel"
    assert not answer.complete


@pytest.mark.parametrize(
    ("query", "headers", "default", "denied"),
    [
        ("", {}, 5, False),
        ("", {}, 6, True),
        ("?v=6", {}, 5, True),
        ("", {"x-ai-sdk-version": "7.0.173"}, 5, True),
        ("", {"x-ai-sdk-version": "5.0.277"}, 7, False),
        ("?v=99", {}, 5, True),
    ],
)
async def test_send_uses_the_vocabulary_of_the_clients_version(
    query: str, headers: dict[str, str], default: int, denied: bool
) -> None:
    """An unknown chunk type stops a client: it gets what its version knows."""
    reader = FakeReader([batch(0, ToolOutputDeniedChunk(tool_call_id="c"), FinishChunk())])
    app = make_app(FakeSessions({"start": reader}), server=ServerSettings(client_level=default))
    answer = await request(app, "POST", f"/api/chat{query}", BODY, headers)
    types = [event["type"] for event in data_lines(answer.body)[:-1]]
    assert ("tool-output-denied" in types) is denied


# -- resume -------------------------------------------------------------------------------


async def test_resume_streams_the_run_under_way() -> None:
    """Without a position it is the state so far, then live."""
    sessions = FakeSessions({"resume": FakeReader()})
    answer = await request(make_app(sessions), "GET", "/api/chat/c1/stream")
    assert data_lines(answer.body)[-1] == "[DONE]"
    call = sessions.called("resume")[0]
    assert (call["session_id"], call["run_id"], call["after"]) == ("c1", None, None)


async def test_resume_answers_204_when_nothing_runs() -> None:
    """Also for a session that nobody has heard of: a 404 would be an error to the client."""
    answer = await request(make_app(FakeSessions()), "GET", "/api/chat/c1/stream")
    assert (answer.status, answer.body) == (204, b"")


@pytest.mark.parametrize(
    ("query", "headers"),
    [("?after=7&runId=run_1", {}), ("?runId=run_1", {"last-event-id": "7"})],
)
async def test_resume_continues_after_a_chunk(query: str, headers: dict[str, str]) -> None:
    """A client that kept its parser asks for the rest, by query or as EventSource does."""
    sessions = FakeSessions({"resume": FakeReader()})
    await request(make_app(sessions), "GET", f"/api/chat/c1/stream{query}", headers=headers)
    call = sessions.called("resume")[0]
    assert (call["run_id"], call["after"]) == ("run_1", 7)


async def test_workflow_client_gets_the_chunks_from_its_index_as_it_counts_them() -> None:
    """`startIndex` counts what this client's version got, not what the log holds."""
    chunks = [
        batch(0, StartChunk(message_id="m1"), ToolOutputDeniedChunk(tool_call_id="c")),
        batch(2, TextDeltaChunk(id="t", delta="Hello"), FinishChunk()),
    ]
    sessions = FakeSessions({"resume": lambda _: FakeReader(chunks)})
    app = make_app(sessions)
    target = "/api/chat/c1~run_1/stream?startIndex=1&v=7"
    seven = data_lines((await request(app, "GET", target)).body)
    assert [event["type"] for event in seven[:-1]] == ["tool-output-denied", "text-delta", "finish"]
    call = sessions.called("resume")[0]
    assert (call["session_id"], call["run_id"]) == ("c1", "run_1")
    assert (call["after"], call["raw"]) == (-1, True)


async def test_workflow_client_gets_finish_when_nothing_runs() -> None:
    """It asks again at once unless it sees `finish`: 204 and 404 are errors to it."""
    for found in (None, RunNotFoundError("no such run")):
        sessions = FakeSessions({"resume": found})
        answer = await request(make_app(sessions), "GET", "/api/chat/c1/stream?startIndex=0")
        assert answer.status == 200
        assert data_lines(answer.body) == [{"type": "finish"}, "[DONE]"]


async def test_workflow_client_that_asks_from_the_end_gets_all_and_counts_from_zero() -> None:
    """The tail index makes `tail + 1 + startIndex` zero."""
    sessions = FakeSessions({"resume": FakeReader()})
    answer = await request(make_app(sessions), "GET", "/api/chat/c1/stream?startIndex=-10")
    assert answer.headers["x-workflow-stream-tail-index"] == "9"
    assert len(data_lines(answer.body)) == len(WHOLE_RUN) + 2


# -- stop, look, erase, list, follow --------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (None, (None, None, None)),
        ({}, (None, None, None)),
        ({"runId": "run_1", "messageId": "u1"}, ("run_1", "u1", None)),
        ({"messageId": "u1", "requestId": "k"}, (None, "u1", "k")),
    ],
)
async def test_stop_names_the_runs_that_it_ended(
    body: object, named: tuple[str | None, ...]
) -> None:
    """A stop may name a run, a message, a send, or nothing; an empty body is nothing."""
    sessions = FakeSessions({"stop": ["run_1"]})
    answer = await request(make_app(sessions), "POST", "/api/chat/c1/stop", body)
    assert (answer.status, answer.json()) == (200, {"stopped": ["run_1"]})
    call = sessions.called("stop")[0]
    assert (call["run_id"], call["message_id"], call["request_key"]) == named


async def test_session_that_does_not_exist_is_empty_to_who_asks_so() -> None:
    """A page of a new chat gets a snapshot of nothing in place of a 404."""
    app = make_app(FakeSessions({"snapshot": SessionNotFoundError("unable to find it")}))
    answer = await request(app, "GET", "/api/chat/c1?orEmpty=true")
    refused = await request(app, "GET", "/api/chat/c1?orEmpty=false")

    assert (answer.status, refused.status) == (200, 404)
    empty = msgspec.json.decode(answer.body)
    assert (empty["id"], empty["epoch"], empty["messages"], empty["runs"]) == ("c1", "", [], [])


async def test_snapshot_is_the_session_as_json() -> None:
    """Names are camelCase, messages are as they are stored."""
    snapshot = Snapshot(
        id=SessionId("c1"),
        epoch="e",
        offset="1-0",
        title="Hi",
        messages=[Raw(b'{"id":"u1","x":1}')],
        runs=[RUN],
    )
    answer = await request(make_app(FakeSessions({"snapshot": snapshot})), "GET", "/api/chat/c1")
    content = answer.json()
    assert content["messages"] == [{"id": "u1", "x": 1}]
    assert content["runs"][0]["messageId"] == "m1"
    assert (content["epoch"], content["offset"]) == ("e", "1-0")


async def test_erase_answers_without_content() -> None:
    """204, and the session is erased."""
    sessions = FakeSessions()
    answer = await request(make_app(sessions), "DELETE", "/api/chat/c1")
    assert answer.status == 204
    assert sessions.called("erase") == [{"session_id": "c1"}]


@pytest.mark.parametrize(("path", "message_id"), [("messages/m1", "m1"), ("messages", None)])
async def test_deletion_of_messages_answers_without_content(
    path: str, message_id: str | None
) -> None:
    """204; one by its id, or all."""
    sessions = FakeSessions()
    answer = await request(make_app(sessions), "DELETE", f"/api/chat/c1/{path}")
    assert answer.status == 204
    assert sessions.called("delete") == [{"session_id": "c1", "message_id": message_id}]


async def test_list_shows_sessions_and_bounds_the_page() -> None:
    """Newest first as the sessions give them; a page is at most 200."""
    meta = SessionMeta(
        id=SessionId("c1"),
        owner=ANONYMOUS,
        tenant=NO_TENANT,
        position=Position("e", "1-0"),
        title="Hi",
        created_at_ms=1,
        updated_at_ms=2,
        head_message_id=None,
        active_run_id=RUN.id,
        last_run_id=RUN.id,
    )
    sessions = FakeSessions({"list_sessions": [meta]})
    answer = await request(make_app(sessions), "GET", "/api/chats?limit=9999&before=77")
    assert answer.json() == {
        "chats": [
            {
                "id": "c1",
                "title": "Hi",
                "createdAtMs": 1,
                "updatedAtMs": 2,
                "activeRunId": "run_1",
            }
        ]
    }
    assert sessions.called("list_sessions") == [{"limit": 200, "before_ms": 77}]


async def test_feed_sends_each_event_with_the_position_after_it() -> None:
    """A reader continues from the last id; a session without a log has none."""
    events = [
        FeedEvent("snapshot", b'{"a":1}', None),
        FeedEvent("run", b'{"b":2}', Position("e", "2-0")),
    ]
    sessions = FakeSessions({"follow": FakeReader(events)})
    answer = await request(
        make_app(sessions), "GET", "/api/chat/c1/events", headers={"last-event-id": "e:1-0"}
    )
    assert answer.body == (
        b':\n\nevent: snapshot\ndata: {"a":1}\n\nevent: run\nid: e:2-0\ndata: {"b":2}\n\n'
    )
    assert sessions.called("follow")[0]["after"] == Position("e", "1-0")


@pytest.mark.parametrize(("query", "tabs"), [("", 1), ("?present=false", 0)])
async def test_reader_of_a_feed_may_say_that_it_does_not_count(query: str, tabs: int) -> None:
    """By default, a reader counts as one more tab that has the session open."""
    sessions = FakeSessions({"follow": FakeReader([])})
    answer = await request(make_app(sessions), "GET", f"/api/chat/c1/events{query}")
    assert answer.status == 200
    assert sessions.called("follow")[0]["tabs"] == tabs


# -- failures -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (RunActiveError("unable to send; x", runId="run_1"), 409, "run_active"),
        (SessionNotFoundError("unable to find it; x"), 404, "session_not_found"),
        (NotRecoveredError("unable to continue; x"), 410, "not_recovered"),
        (StoreUnavailableError("unable to reach Redis; x"), 503, "store_unavailable"),
        (DrainingError("unable to take it; x"), 503, "draining"),
    ],
)
async def test_failure_is_answered_with_its_code_and_sentence(
    error: Any, status: int, code: str
) -> None:
    """Before a stream begins, a failure is a status, a code and what to do."""
    answer = await request(make_app(FakeSessions({"start": error})), "POST", "/api/chat", BODY)
    assert answer.status == status
    content = answer.json()["error"]
    assert (content["code"], content["message"]) == (code, error.message)
    assert content["temporary"] is error.temporary
    assert error.details.items() <= content.items()
    assert ("retry-after" in answer.headers) is (status == 503)


async def test_fault_of_ours_leaks_nothing_and_is_found_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A bug answers 500 with a request id; what went wrong is in the log under that id."""
    sessions = FakeSessions({"start": ValueError("password=hunter2 /etc/secret")})
    answer = await request(make_app(sessions), "POST", "/api/chat", BODY)
    assert (answer.status, answer.error) == (500, "internal_error")
    assert b"hunter2" not in answer.body
    request_id = answer.json()["error"]["requestId"]
    assert any(request_id in record.getMessage() for record in caplog.records)


async def test_ready_says_why_it_is_not() -> None:
    """A load balancer sends no new work to a process that cannot keep it."""
    app = make_app(FakeSessions(), ready_error=StoreUnavailableError("unable to reach Redis; x"))
    assert (await request(app, "GET", "/readyz")).status == 503
    assert (await request(app, "GET", "/livez")).status == 200


async def test_operation_routes_answer() -> None:
    """Metrics and the OpenAPI document are there for whoever operates or integrates."""
    app = make_app(FakeSessions())
    assert b"midstream_readers" in (await request(app, "GET", "/metrics")).body
    schema = (await request(app, "GET", "/schema")).json()
    assert "/api/chat/{chat_id}/stream" in schema["paths"]
