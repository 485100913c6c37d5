"""The queue by HTTP: who waits, what may be changed, and what bad input is told."""

from __future__ import annotations

import asyncio
import itertools
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.processes import eventually
from tests.support.sessions import Session, Transcript, text_of, user_message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.fixtures import Deployment
    from tests.support.simulator import HeldAnswer

pytestmark = pytest.mark.anyio

QUEUE = {"onActive": "queue"}
NO_WAIT = {"prefer": "respond-async"}


async def add(session: Session, name: str, text: str = "And then? [[tokens=3]]") -> Any:
    """Queue a message without waiting for its run; return status and answer."""
    body = session.body(text, name, QUEUE)
    async with session.at.request("POST", "/api/chat", body, headers=NO_WAIT) as response:
        return response.status, json.loads(await response.body())


async def call(session: Session, method: str, path: str = "", body: object = None) -> Any:
    return await session.at.call(method, f"/api/chat/{session.id}/queue{path}", body)


async def order(session: Session) -> list[str]:
    return [entry["id"] for entry in (await session.snapshot())["queue"]["entries"]]


async def asked(session: Session) -> list[str]:
    """The ids of the questions that have an answer, in order."""
    messages = (await session.snapshot())["messages"]
    return [
        question["id"]
        for question, answer in itertools.pairwise(messages)
        if question["role"] == "user" and answer["role"] == "assistant"
    ]


async def all_answered(session: Session, *names: str) -> None:
    async def done() -> bool:
        return await asked(session) == list(names) and await session.is_ended()

    await eventually(done, f"{names} are answered")


@asynccontextmanager
async def busy(deployment: Deployment) -> AsyncIterator[tuple[Session, Session, HeldAnswer]]:
    """A session whose first answer, u1's, is held in the middle; as seen through two gateways."""
    session = deployment.session()
    held = deployment.simulator.held(tokens=6)
    await session.begin(held.question, message_id="u1")
    try:
        yield session, session.through(deployment.gateways[1].at), held
    finally:
        await held.release()


async def test_queued_messages_are_answered_in_order_without_any_tab(
    deployment: Deployment,
) -> None:
    async with busy(deployment) as (here, there, held):
        for place, (session, name) in enumerate([(here, "u2"), (there, "u3"), (here, "u4")], 1):
            status, answer = await add(session, name)
            assert (status, answer) == (202, {"queued": {"id": name, "position": place}})
        queue = (await there.snapshot())["queue"]
        assert [entry["id"] for entry in queue["entries"]] == ["u2", "u3", "u4"]
        first = queue["entries"][0]
        assert first["by"] == {"id": "", "role": "user", "kind": "person"}
        assert (first["version"], first["message"]["role"]) == (1, "user")
        assert (queue["paused"], queue["waitsFor"], queue["unsent"]) == (None, None, [])
        await held.release()
        await all_answered(here, "u1", "u2", "u3", "u4")
        assert await order(there) == []


async def test_stock_client_waits_in_its_response_for_the_run_of_its_message(
    deployment: Deployment,
) -> None:
    async with busy(deployment) as (here, there, held):
        waiting = [
            asyncio.create_task(session.send("More? [[tokens=4]]", message_id=name, extra=QUEUE))
            for session, name in ((here, "u2"), (there, "u3"))
        ]
        await eventually(lambda: _has(here, 2), "both are queued")
        await held.release()
        seen = await asyncio.gather(*waiting)
        snapshot = await here.snapshot()
        answers = {m["id"]: m for m in snapshot["messages"] if m["role"] == "assistant"}
        for each in seen:
            assert each.done
            assert each.types[0] == "start"
            assert text_of(answers[each.chunks[0]["messageId"]]) == each.text


async def test_message_to_an_idle_session_is_answered_at_once(deployment: Deployment) -> None:
    session = deployment.session()
    status, answer = await add(session, "u1")
    assert (status, answer["queued"]) == (202, {"id": "u1", "position": 0})
    assert answer["runId"]
    await all_answered(session, "u1")
    seen = await session.send("And? [[tokens=2]]", extra=QUEUE)
    assert seen.done


async def test_person_changes_moves_and_removes_what_is_queued(deployment: Deployment) -> None:
    async with busy(deployment) as (here, there, held):
        for name in ("u2", "u3", "u4"):
            await add(here, name)
        new, late = (user_message(f"{it} [[tokens=2]]", "u3") for it in ("Changed", "Too late"))
        for at in (there, here):  # a request that comes twice
            status, queue = await call(at, "PATCH", "/u3", {"message": new, "ifVersion": 1})
            assert (status, queue["entries"][1]["version"]) == (200, 2)
        status, refused = await call(here, "PATCH", "/u3", {"message": late, "ifVersion": 1})
        assert (status, refused["error"]["code"]) == (409, "conflict")
        _, queue = await call(here, "PATCH", "/u4", {"before": "u2"})
        assert [entry["id"] for entry in queue["entries"]] == ["u4", "u2", "u3"]
        status, queue = await call(there, "DELETE", "/u2")
        assert (status, len(queue["entries"])) == (200, 2)
        await held.release()
        await all_answered(here, "u1", "u4", "u3")
        question = next(m for m in (await here.snapshot())["messages"] if m["id"] == "u3")
        assert text_of(question).startswith("Changed")
        status, taken = await call(here, "DELETE", "/u4")
        assert (status, taken["error"]["code"]) == (409, "entry_taken")
        assert taken["error"]["runId"]


async def test_stop_pauses_and_resume_goes_on_at_any_gateway(deployment: Deployment) -> None:
    async with busy(deployment) as (here, there, _):
        await add(here, "u2")
        await there.stop()
        assert (await here.snapshot())["queue"]["paused"] == "stopped"
        assert await order(here) == ["u2"]
        status, queue = await call(there, "POST", "/resume")
        assert (status, queue["paused"]) == (200, None)
        await all_answered(here, "u1", "u2")


async def test_next_send_comes_before_a_paused_queue_and_resumes_it(
    deployment: Deployment,
) -> None:
    async with busy(deployment) as (here, there, _):
        await add(here, "u2")
        await here.stop()
        await there.send("Better this [[tokens=2]]", message_id="u3")
        await all_answered(here, "u1", "u3", "u2")


async def test_queued_send_resumes_a_paused_queue_in_its_order(deployment: Deployment) -> None:
    """As the AI SDK's own queue does."""
    async with busy(deployment) as (here, there, _):
        await add(here, "u2")
        await here.stop()
        status, answer = await add(there, "u3")
        assert (status, answer["queued"]["position"]) == (202, 2)
        await all_answered(here, "u1", "u2", "u3")


async def test_entry_sent_now_interrupts_the_answer(deployment: Deployment) -> None:
    async with busy(deployment) as (here, there, _):
        for name in ("u2", "u3"):
            await add(here, name)
        status, _ = await call(there, "POST", "/u3/send-now", {"how": "interrupt"})
        assert status == 200
        await all_answered(here, "u1", "u3", "u2")


async def test_regeneration_brings_the_entries_back_to_their_senders(
    deployment: Deployment,
) -> None:
    async with busy(deployment) as (here, there, held):
        await add(here, "u2")
        await here.stop()
        body = here.body("", "u1") | {"trigger": "regenerate-message"}
        async with there.at.request("POST", "/api/chat", body) as response:
            await held.release()
            await Transcript().read(response)
        queue = (await here.snapshot())["queue"]
        assert queue["entries"] == []
        assert [(e["id"], e["reason"]) for e in queue["unsent"]] == [("u2", "conversation_changed")]
        _, queue = await call(there, "DELETE")
        assert queue["unsent"] == []


async def test_waiting_response_of_a_removed_message_says_so(deployment: Deployment) -> None:
    async with busy(deployment) as (here, there, _):
        waiting = asyncio.create_task(here.send("No", message_id="u2", extra=QUEUE))
        await eventually(lambda: _has(here, 1), "it is queued")
        await call(there, "DELETE", "/u2")
        seen = await waiting
        assert seen.types == ["error", "finish"]
        assert seen.done


async def test_followers_are_told_of_each_change(deployment: Deployment) -> None:
    async with busy(deployment) as (here, there, held):
        async with there.at.request("GET", f"/api/chat/{there.id}/events") as feed:
            events = feed.events()
            assert json.loads((await anext(events)).data)["queue"]["entries"] == []
            await add(here, "u2")
            await held.release()
            told = []
            async for event in events:
                if event.event == "queue":
                    told.append(json.loads(event.data))
                if len(told) == 2:
                    break
        assert [each["order"] for each in told] == [["u2"], []]
        assert told[0]["entry"]["message"]["id"] == "u2"


async def test_bad_input_is_refused_with_a_code_and_loses_nothing(
    deployment: Deployment, subtests: pytest.Subtests
) -> None:
    async with busy(deployment) as (here, there, _):
        await add(here, "u2", "First words")
        large = user_message("x" * 1_100_000, "big")
        rows: list[tuple[str, Any, int, str]] = [
            ("other words", add(there, "u2", "Other words"), 409, "conflict"),
            ("an edit", add(there, "u1", "Other words"), 409, "conflict"),
            ("large", add(there, "big", "x" * 1_100_000), 413, "too_large"),
            ("8 MB", add(there, "big", "x" * 8_500_000), 413, "too_large"),
            ("nothing said", call(here, "PATCH", "/u2", {}), 400, "invalid_request"),
            ("another id", call(here, "PATCH", "/u2", {"message": large}), 409, "conflict"),
            ("unknown", call(here, "DELETE", "/u9"), 404, "message_not_found"),
            ("how", call(here, "POST", "/u2/send-now", {"how": "later"}), 400, "invalid_request"),
            ("unread", call(here, "PATCH", "/u2", "no object"), 400, "invalid_request"),
            ("bad id", call(here, "DELETE", "/%20"), 400, "invalid_request"),
        ]
        for name, request, status, code in rows:
            with subtests.test(name):
                answered, refusal = await request
                assert (answered, refusal["error"]["code"]) == (status, code)
        (entry,) = (await here.snapshot())["queue"]["entries"]
        assert text_of(entry["message"]) == "First words"


async def test_thirty_third_entry_and_fourth_waiting_response_are_refused(
    deployment: Deployment,
) -> None:
    async with busy(deployment) as (here, there, _):
        waiting = [
            asyncio.create_task(here.send("Wait", message_id=f"w{number}", extra=QUEUE))
            for number in range(3)
        ]
        await eventually(lambda: _has(here, 3), "three wait")
        status, refused = await there.at.call("POST", "/api/chat", there.body("Wait", "w3", QUEUE))
        assert (status, refused["error"]["code"]) == (409, "queue_full")
        for number in range(29):
            assert (await add(there, f"n{number}", "Hm [[tokens=1]]"))[0] == 202
        status, refused = await add(here, "n32")
        assert (status, refused["error"]["code"]) == (409, "queue_full")
        assert len(await order(here)) == 32
        status, _ = await call(here, "DELETE")
        assert status == 200
        assert all("error" in seen.types for seen in await asyncio.gather(*waiting))


async def test_closed_response_withdraws_nothing_and_frees_its_place(
    deployment: Deployment,
) -> None:
    async with busy(deployment) as (here, there, held):
        for name in ("w1", "w2", "w3", "w4"):
            async with here.sending("[[tokens=2]]", message_id=name, extra=QUEUE) as response:
                assert response.status == 200, await response.body()
            await eventually(lambda: _queues_with_reader(there), "its place is free")
        await held.release()
        await all_answered(there, "u1", "w1", "w2", "w3", "w4")


async def test_erased_session_has_no_queue(deployment: Deployment) -> None:
    async with busy(deployment) as (here, there, _):
        await add(here, "u2")
        status, _ = await here.at.call("DELETE", f"/api/chat/{here.id}")
        assert status == 204
        for method, path in (("DELETE", "/u2"), ("DELETE", ""), ("POST", "/resume")):
            status, refused = await call(there, method, path)
            assert (status, refused["error"]["code"]) == (404, "session_not_found")
        status, answer = await add(there, "u2")
        assert (status, answer["queued"]["position"]) == (202, 0)


async def _has(session: Session, count: int) -> bool:
    return len(await order(session)) == count


async def _queues_with_reader(session: Session) -> bool:
    """Whether the places of waiting responses are free: a probe is queued, and removed again."""
    body = session.body("probe", "probe", QUEUE)
    async with session.at.request("POST", "/api/chat", body) as response:
        free = response.status == 200
    if free:
        await call(session, "DELETE", "/probe")
    return free
