"""Promise 9 and authentication: another person's session answers as one that does not exist."""

from __future__ import annotations

import json
import time
from base64 import urlsafe_b64encode
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

import jwt
import pytest
from websockets.exceptions import InvalidStatus

from tests.support.fixtures import start_deployment
from tests.support.gateway import API_KEYS
from tests.support.processes import eventually
from tests.support.sessions import Session, Transcript
from tests.support.websocket import open_socket

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

    from tests.support.fixtures import Deployment
    from tests.support.wire import Endpoint, Response, SseEvent

pytestmark = pytest.mark.anyio

SECRET: Final = "a-secret-of-the-tests-and-of-nobody-else-long-enough-for-any-hash-7d1"  # noqa: S105
AUDIENCE: Final = "midstream-tests"
ISSUED: Final[list[str]] = []


def token(user: str, *, secret: str = SECRET, algorithm: str = "HS256", **claims: object) -> str:
    """Make a token that is valid, except for the arguments' changes."""
    payload = {"sub": user, "aud": AUDIENCE, "exp": int(time.time()) + 600, **claims}
    made = jwt.encode(
        {key: value for key, value in payload.items() if value is not None}, secret, algorithm
    )
    ISSUED.append(made)
    return made


def unsigned(user: str) -> str:
    """Make a token whose header says `alg: none`."""

    def encoded(value: object) -> str:
        return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    payload = {"sub": user, "aud": AUDIENCE, "exp": int(time.time()) + 600}
    made = f"{encoded({'alg': 'none', 'typ': 'JWT'})}.{encoded(payload)}."
    ISSUED.append(made)
    return made


@pytest.fixture(scope="module")
def guarded(simulator: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Two gateways that ask for tokens."""
    with ExitStack() as stack:
        made = start_deployment(simulator, tmp_path_factory.mktemp("guarded"), stack)
        made.add_gateways(
            2,
            {"auth": {"mode": "jwt", "audience": AUDIENCE}, "server": {"log_level": "debug"}},
            environment={"MIDSTREAM_AUTH_SECRET": SECRET},
        )
        yield made


def acting(deployment: Deployment, bearer: str, session: Session | None = None) -> Session:
    """Return a session as the bearer of a token sees it; a new one if none is given."""
    at = deployment.gateways[0].at.asking_as(bearer)
    return Session(at) if session is None else session.through(at)


async def answer_to(session: Session, call: str) -> tuple[int, object]:
    """Make one of the calls; return the parts that tell answers apart."""
    path = f"/api/chat/{session.id}"
    match call:
        case "send":
            body = session.body("mine now", "u-intruder")
            status, answer = await session.at.call("POST", "/api/chat", body)
        case "regenerate":
            body = session.body("mine now", "u-owner") | {"trigger": "regenerate-message"}
            status, answer = await session.at.call("POST", "/api/chat", body)
        case "resume" | "continue" | "raw":
            suffix = {"resume": "", "continue": "?after=0", "raw": "?startIndex=0"}[call]
            async with session.at.request("GET", f"{path}/stream{suffix}") as response:
                return response.status, await response.body()
        case "stop":
            status, answer = await session.at.call("POST", f"{path}/stop", {})
        case "snapshot":
            status, answer = await session.at.call("GET", path)
        case _:
            status, answer = await session.at.call("DELETE", path)
    if isinstance(answer, dict) and "error" in answer:
        return status, answer["error"]
    return status, answer


@pytest.mark.parametrize(
    "intruder",
    [{"user": "bob"}, {"user": "olga", "role": "operator", "tenant": "other"}],
    ids=["another user", "an operator of another tenant"],
)
@pytest.mark.parametrize("call", ["resume", "continue", "raw", "stop", "snapshot", "erase"])
async def test_foreign_session_answers_as_one_that_does_not_exist(
    call: str, intruder: dict[str, str], guarded: Deployment
) -> None:
    """Status, code and sentence are the same: nothing shows that the session exists."""
    owned = acting(guarded, token("ann"))
    await owned.begin("[[tokens=20000 rate=100 first=0]]", message_id="u-owner")
    before = (await owned.snapshot())["messages"]
    foreigner = token(**intruder)

    foreign = await answer_to(acting(guarded, foreigner, owned), call)
    missing = await answer_to(acting(guarded, foreigner), call)

    assert foreign == missing
    assert (await owned.snapshot())["messages"][:1] == before[:1]
    assert (await owned.snapshot())["runs"][-1]["state"] == "open"
    await owned.stop()


@pytest.mark.parametrize("call", ["send", "regenerate"])
async def test_foreign_session_takes_no_message(call: str, guarded: Deployment) -> None:
    """404, and the owner's session is as it was."""
    owned = acting(guarded, token("ann"))
    await owned.begin("[[tokens=3]]", message_id="u-owner")
    await owned.resume()
    await eventually(owned.is_ended, "the run ends")
    before = guarded.redis.dump(owned.id)

    status, error = await answer_to(acting(guarded, token("bob"), owned), call)

    assert isinstance(error, dict)
    assert (status, error["code"]) == (404, "session_not_found")
    assert guarded.redis.dump(owned.id) == before


async def test_foreign_feed_shows_nothing(guarded: Deployment) -> None:
    """The feed of a foreign session is that of a session that does not exist."""
    owned = acting(guarded, token("ann"))
    await owned.send("a secret thing [[tokens=3]]")
    bob = token("bob")

    async def first_event(session: Session) -> tuple[int, str]:
        path = f"/api/chat/{session.id}/events"
        async with session.at.request("GET", path) as response:
            if response.status != 200:
                return response.status, (await response.json())["error"]["code"]
            async for event in response.events():
                return response.status, event.data.replace(session.id, "ID")
        raise AssertionError("no event")

    foreign = await first_event(acting(guarded, bob, owned))

    assert foreign == await first_event(acting(guarded, bob))
    assert "secret" not in foreign[1]


async def test_foreign_session_on_a_socket_answers_as_one_that_does_not_exist(
    guarded: Deployment,
) -> None:
    """Resume is `no-active`, send an error; the socket lives on."""
    owned = acting(guarded, token("ann"))
    await owned.begin("[[tokens=20000 rate=100 first=0]]")

    async with open_socket(guarded.gateways[1].at.asking_as(token("bob"))) as socket:
        resumed = await socket.answer(await socket.resume(owned.id))
        sent = await socket.answer(await socket.send_message(owned.id, "mine now"))
        mine = await socket.answer(await socket.send_message(Session(owned.at).id, "[[tokens=2]]"))

    assert [frame["type"] for frame in resumed] == ["no-active"]
    assert [frame["type"] for frame in sent] == ["error"]
    assert mine[-1]["type"] == "end"
    assert (await owned.snapshot())["runs"][-1]["state"] == "open"
    await owned.stop()


async def test_feed_and_socket_end_with_their_token_and_nothing_is_lost(
    guarded: Deployment,
) -> None:
    """The feed reports it, and continues with a new token at its position; the answer was whole."""
    answer = guarded.simulator.held(tokens=6)
    owned = acting(guarded, token("ann"))
    # Over, and accepted for what is left of the leeway.
    brief = token("ann", exp=int(time.time()) - 8)
    ending, path = acting(guarded, brief, owned), f"/api/chat/{owned.id}/events"

    async with owned.sending(answer.question) as response:
        seen = Transcript()
        events = seen.follow(response)
        await anext(events)
        async with ending.at.request("GET", path) as feed, open_socket(ending.at) as socket:
            followed = [event async for event in feed.events()]
            code = await socket.wait_closed()
        await answer.release()
        async for _ in events:
            pass
    last = next(event.id for event in reversed(followed) if event.id)
    async with owned.at.request("GET", f"{path}?after={last}") as feed:
        rest = [event.event async for event in until_ended(feed)]

    assert (followed[-1].event, json.loads(followed[-1].data)) == (
        "closed",
        {"code": "token_expired"},
    )
    assert code == 4003
    assert "snapshot" not in rest
    assert seen.chunks[-1]["finishReason"] == "stop"


async def until_ended(feed: Response) -> AsyncIterator[SseEvent]:
    """Yield a feed's events, up to the end of its run."""
    async for event in feed.events():
        yield event
        if event.event == "run" and json.loads(event.data)["state"] == "ended":
            return


async def test_list_holds_the_callers_sessions_only(guarded: Deployment) -> None:
    """Newest first, and no session of others."""
    cleo = token("cleo")
    mine = [acting(guarded, cleo) for _ in range(3)]
    for session in mine:
        await session.send("[[tokens=2]]")
    await acting(guarded, token("dora")).send("[[tokens=2]]")

    status, listed = await guarded.gateways[1].at.asking_as(cleo).call("GET", "/api/chats")

    assert status == 200
    found = listed["chats"] if isinstance(listed, dict) else listed
    assert [chat["id"] for chat in found] == [session.id for session in reversed(mine)]


async def test_claims_grant_more(guarded: Deployment) -> None:
    """A named session may be used, an observer reads, an operator stops."""
    owned = acting(guarded, token("ann"))
    await owned.begin("[[tokens=2000 rate=50 first=0]]")
    named = acting(guarded, token("eve", sessions=[owned.id]), owned)
    observer = acting(guarded, token("fay", role="observer"), owned)
    operator = acting(guarded, token("gus", role="operator"), owned)

    assert (await named.snapshot())["id"] == owned.id
    assert (await observer.snapshot())["id"] == owned.id
    refused = await answer_to(observer, "erase")
    assert refused[0] in {403, 404}
    assert len(await operator.stop()) == 1


BAD_TOKENS: dict[str, Callable[[], str | None]] = {
    "none": lambda: None,
    "expired": lambda: token("ann", exp=int(time.time()) - 3600),
    "not yet valid": lambda: token("ann", nbf=int(time.time()) + 3600),
    "unsigned": lambda: unsigned("ann"),
    "wrong key": lambda: token("ann", secret=SECRET[::-1]),
    "wrong audience": lambda: token("ann", aud="elsewhere"),
    "no audience": lambda: token("ann", aud=None),
    "other algorithm": lambda: token("ann", algorithm="HS512"),
    "without an end": lambda: token("ann", exp=None),
    "without a subject": lambda: token("ann", sub=None),
    "of a role nobody knows": lambda: token("ann", role="root"),
    "garbage": lambda: "not.a.token",
}


@pytest.mark.parametrize("case", BAD_TOKENS)
async def test_bad_token_is_refused_everywhere(case: str, guarded: Deployment) -> None:
    """401 on every call, for HTTP and for the upgrade; nothing is created."""
    bearer = BAD_TOKENS[case]()
    at: Endpoint = guarded.gateways[0].at
    at = at if bearer is None else at.asking_as(bearer)
    session = Session(at)
    calls = [
        ("POST", "/api/chat", session.body("hello")),
        ("GET", f"/api/chat/{session.id}", None),
        ("GET", f"/api/chat/{session.id}/stream", None),
        ("GET", f"/api/chat/{session.id}/events", None),
        ("POST", f"/api/chat/{session.id}/stop", {}),
        ("DELETE", f"/api/chat/{session.id}", None),
        ("GET", "/api/chats", None),
    ]

    for method, path, body in calls:
        status, answer = await at.call(method, path, body)
        assert (status, answer["error"]["code"]) == (401, "unauthorized"), (method, path)
    assert await socket_refusal(at) == 401
    assert guarded.redis.dump(session.id) == {}


async def socket_refusal(at: Endpoint, headers: Mapping[str, str] | None = None) -> int | None:
    """Return the status of a refused upgrade, or the one that the close code means."""
    try:
        async with open_socket(at, headers=headers) as socket:
            code = await socket.wait_closed()
            return {4501: 401, 4503: 403}.get(code or 0, code)
    except InvalidStatus as refused:
        return refused.response.status_code


async def test_socket_of_a_foreign_page_is_refused(guarded: Deployment) -> None:
    """A web page of an origin that is not allowed opens no socket, even with a token."""
    at = guarded.gateways[0].at.asking_as(token("ann"))

    assert await socket_refusal(at, {"origin": "https://evil.example"}) == 403


async def test_browser_may_send_its_token_in_the_query(guarded: Deployment) -> None:
    """Where no header can be set: WebSocket and EventSource."""
    plain = guarded.gateways[0].at
    bearer = token("hal")

    async with open_socket(plain, f"?token={bearer}") as socket:
        answer = await socket.answer(await socket.send_message(Session(plain).id, "[[tokens=2]]"))

    assert answer[-1]["type"] == "end"


async def test_nothing_of_a_token_or_a_key_is_logged(guarded: Deployment) -> None:
    """The logs hold no secret of the requests above, at the most talkative level."""
    session = acting(guarded, token("ann"))
    await session.send("[[http=401]] wrong key upstream")
    async with session.at.request(
        "GET", f"/api/chat/{session.id}/stream?token={token('ann')}"
    ) as response:
        await response.body()
    secrets = [SECRET, *API_KEYS.values()]
    for made in ISSUED:
        secrets += [made, *(part for part in made.split(".")[1:] if len(part) > 20)]

    for gateway in guarded.gateways:
        logged = gateway.process.output()
        assert logged
        assert [secret for secret in secrets if secret in logged] == []


async def test_provider_refusing_the_key_tells_the_client_nothing_of_it(
    guarded: Deployment,
) -> None:
    """An error chunk with a sentence; no key, no address, no words of the provider."""
    session = acting(guarded, token("ann"))

    async with session.sending("[[http=401]]") as response:
        seen = await Transcript().read(response)

    assert seen.types[-2:] == ["error", "finish"]
    text = seen.chunks[-2]["errorText"]
    assert text
    for private in (*API_KEYS.values(), guarded.simulator.url, "Incorrect API key"):
        assert private not in text
