"""The simulator's ASGI application: routes, credentials, and the life of a request."""

from __future__ import annotations

import os
from collections import OrderedDict
from itertools import count
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from msgspec import Raw

from midstream.simulator.anthropic.wire import SimulatedMessages
from midstream.simulator.connection import (
    Connection,
    DisconnectedError,
    Receive,
    ResetError,
    Scope,
    Send,
    serve_lifespan,
)
from midstream.simulator.directives import MISSING_MODEL, AnswerScript, DirectiveError, script_for
from midstream.simulator.failures import RequestError, kind_of_status
from midstream.simulator.holds import AnswerHolds
from midstream.simulator.journal import Ended, Journal, Observer, RequestRecord
from midstream.simulator.openai_chat.wire import SimulatedChat
from midstream.simulator.openai_responses.wire import SimulatedResponses
from midstream.simulator.player import Clock, Emit, Player, SystemClock
from midstream.simulator.turn import ModelRequest, PlannedAnswer, plan_turn
from midstream.simulator.wire import Asked, encode_json, opaque_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from midstream.simulator.api import FollowedAnswer, SimulatedApi

_MAX_COUNTED_PROMPTS = 1000
# A real service knows its keys; this one takes any but this.
_INVALID_KEY = "invalid"

APIS: tuple[type[SimulatedApi], ...] = (SimulatedMessages, SimulatedChat, SimulatedResponses)
"""APIs that are simulated by default."""

_RELEASE = "/sim/release/"

_SSE_HEADERS = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}


def create_simulator(
    apis: Iterable[type[SimulatedApi]] = APIS,
    *,
    journal_enabled: bool = False,
    observer: Observer | None = None,
    clock: Clock | None = None,
    seed: str | None = None,
) -> Simulator:
    """Return the simulator as an ASGI application.

    Args:
        apis: what is simulated.
        journal_enabled: serve `GET` and `DELETE /sim/requests`, and `POST /sim/release/NAME`;
            for tests, since requests' bodies are in it.
        observer: called with each request's record when it begins and when it ends.
        clock: the time; the machine's own by default.
        seed: what ids are made from; a random one by default.
    """
    return Simulator(
        [api() for api in apis],
        journal=Journal(observer=observer),
        journal_enabled=journal_enabled,
        clock=clock or SystemClock(),
        seed=seed or os.urandom(8).hex(),
    )


class Simulator:
    """ASGI application; `journal` holds what was asked of it."""

    def __init__(
        self,
        apis: Sequence[SimulatedApi],
        *,
        journal: Journal,
        journal_enabled: bool,
        clock: Clock,
        seed: str,
    ) -> None:
        self.journal = journal
        self._journal_enabled = journal_enabled
        self._clock = clock
        self._seed = seed
        self._ids = count()
        self._failed: OrderedDict[str, int] = OrderedDict()
        self._holds = AnswerHolds()
        self._apis = apis
        self._calls = {f"{api.base_path}{api.path}": api for api in apis}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection: HTTP, or the lifespan."""
        if scope["type"] == "lifespan":
            await serve_lifespan(receive, send)
        elif scope["type"] == "http":
            await self._serve(Connection(scope, receive, send))

    async def close(self) -> None:
        """End what is generated in the background."""
        for api in self._apis:
            await api.close()

    async def _serve(self, connection: Connection) -> None:
        request_id = self._new_id("req_")
        api = self._api_for(connection.path)
        try:
            body = await connection.read_body()
            _check_key(connection)
            if connection.method == "POST" and connection.path in self._calls:
                await self._serve_model_call(connection, api, body, request_id)
            elif (found := self._find_background(connection)) is not None:
                await self._serve_background(connection, *found, request_id)
            else:
                answer = self._look_up(connection, body)
                await connection.respond(200, answer, {api.request_id_header: request_id})
        except RequestError as error:
            await _refuse(connection, api, error, request_id)
        except DisconnectedError:
            return
        except ResetError:
            await connection.reset()

    def _api_for(self, path: str) -> SimulatedApi:
        """Return the API in whose shape errors of a path are told."""
        return self._calls.get(path) or next(iter(self._apis_below(path)), self._apis[-1])

    def _apis_below(self, path: str) -> list[SimulatedApi]:
        """Return the APIs to which a path may belong."""
        return [api for api in self._apis if path.startswith(f"{api.base_path}/")]

    def _find_background(
        self, connection: Connection
    ) -> tuple[SimulatedApi, FollowedAnswer] | None:
        """Return the answer in the background that a request is about, if it is about one."""
        for api in self._apis_below(connection.path):
            path = connection.path.removeprefix(api.base_path)
            if (found := api.find_background(connection.method, path)) is not None:
                return api, found
        return None

    async def _serve_model_call(
        self, connection: Connection, api: SimulatedApi, body: bytes, request_id: str
    ) -> None:
        record = RequestRecord(
            id=request_id,
            provider=api.name,
            path=connection.path,
            started_at=self._clock.unix_time(),
            body_bytes=len(body),
        )
        try:
            try:
                conversation = api.read_request(body, connection.headers)
                record.model, record.body = conversation.model, Raw(body)
            finally:
                self.journal.open(record)
            await connection.run_while_connected(
                self._answer(connection, api, conversation, record)
            )
            self._close(record, "completed")
        except RequestError as error:
            record.status = error.status
            self._close(record, "completed")
            raise
        except DisconnectedError:
            self._close(record, "disconnected")
            raise
        finally:
            # Still open: reset, or cancelled with the server; both are a cut to the client.
            self._close(record, "cut")

    async def _answer(
        self,
        connection: Connection,
        api: SimulatedApi,
        conversation: ModelRequest,
        record: RequestRecord,
    ) -> None:
        if conversation.model == MISSING_MODEL:
            raise RequestError("not_found", f"model: {conversation.model}", param="model")
        try:
            script, text = script_for(conversation.model, conversation.prompt)
        except DirectiveError as error:
            raise RequestError("invalid", str(error)) from error
        await self._clock.sleep(script.headers_s)
        if (failure := self._http_failure(api, script, conversation.prompt)) is not None:
            raise failure
        turn = plan_turn(conversation, script, text)
        exchange = Asked(conversation, int(self._clock.unix_time()), self._new_id)
        headers = {api.request_id_header: record.id}
        record.status = 200
        if conversation.background:
            response = api.begin_background(script, turn, exchange, self._clock, self._holds)
            if conversation.stream:
                await self._follow(connection, api, response, -1, record)
            else:
                await connection.respond(200, response.body(), headers)
            return
        if conversation.stream:
            await connection.start(200, _SSE_HEADERS | headers)
            emit = _emit_to(connection, record)
            events = api.stream(turn, exchange)
            player = Player(script, self._clock, emit, self._holds)
            ending = await player.play(events, api.error_event)
            if ending == "cut":
                raise ResetError
            self._close(record, "completed")
            await connection.send(b"", more=False)
            return
        await self._delay_whole(script, turn)
        await connection.respond(200, api.body(turn, exchange), headers)

    async def _serve_background(
        self,
        connection: Connection,
        api: SimulatedApi,
        response: FollowedAnswer,
        request_id: str,
    ) -> None:
        """Answer what is asked of a response after it was begun: its object, events, end."""
        path = f"{connection.path}?{connection.query}" if connection.query else connection.path
        record = RequestRecord(
            id=request_id,
            provider=api.name,
            path=path,
            status=200,
            started_at=self._clock.unix_time(),
            body_bytes=0,
        )
        self.journal.open(record)
        try:
            query = dict(parse_qsl(connection.query))
            if connection.method == "GET" and query.get("stream") == "true":
                after = int(query.get("starting_after", "-1"))
                following = self._follow(connection, api, response, after, record)
                await connection.run_while_connected(following)
            else:
                if connection.method == "POST":
                    response.cancel()
                    await response.wait()
                headers = {api.request_id_header: request_id}
                await connection.respond(200, response.body(), headers)
            self._close(record, "completed")
        except DisconnectedError:
            self._close(record, "disconnected")
            raise
        finally:
            self._close(record, "cut")

    async def _follow(
        self,
        connection: Connection,
        api: SimulatedApi,
        response: FollowedAnswer,
        after: int,
        record: RequestRecord,
    ) -> None:
        headers = {api.request_id_header: record.id}
        await connection.start(200, _SSE_HEADERS | headers)
        if await response.follow(after, _emit_to(connection, record)) == "cut":
            raise ResetError
        self._close(record, "completed")
        await connection.send(b"", more=False)

    async def _delay_whole(self, script: AnswerScript, turn: PlannedAnswer) -> None:
        """Take the time that a stream would, and meet the incidents that one would meet."""
        pace_s = turn.output_tokens / script.rate if script.rate else 0.0
        stalls_s = sum(incident.duration_s for incident in script.incidents)
        await self._clock.sleep(script.first_s + pace_s + stalls_s)
        for incident in script.incidents:
            if incident.after > turn.output_tokens:
                continue
            if incident.kind == "error":
                raise RequestError(incident.name)
            if incident.kind == "hold":
                await self._holds.wait(incident.name)
            if incident.kind in ("cut", "eof"):
                raise ResetError

    def _look_up(self, connection: Connection, body: bytes) -> bytes:
        """Answer what is not a call of a model.

        Raises:
            RequestError: there is nothing at that path, or not with that method.
        """
        method, path = connection.method, connection.path
        if path in self._calls:
            raise RequestError("invalid", f"Not allowed to {method} on {path}.", status=405)
        if path.startswith(_RELEASE) and method == "POST" and self._journal_enabled:
            self._holds.release(path.removeprefix(_RELEASE))
            return encode_json({})
        if path == "/sim/requests" and self._journal_enabled:
            if method == "DELETE":
                self.journal.clear()
            return encode_json({"requests": self.journal.records})
        for api in self._apis_below(path):
            if (answer := api.look_up(method, path.removeprefix(api.base_path), body)) is not None:
                return answer
        raise RequestError("not_found", f"Invalid URL ({method} {path})")

    def _http_failure(
        self, api: SimulatedApi, script: AnswerScript, prompt: str
    ) -> RequestError | None:
        """Return the failure that a directive asks for, counted for each prompt."""
        failure = script.http
        if failure is None:
            return None
        key = f"{api.name}:{prompt}"
        failed = self._failed.pop(key, 0)
        if failure.times is not None and failed >= failure.times:
            # Forgotten with the success: the same prompt sent again fails again.
            return None
        self._failed[key] = failed + 1
        while len(self._failed) > _MAX_COUNTED_PROMPTS:
            self._failed.popitem(last=False)
        return RequestError(
            kind_of_status(failure.status),
            status=failure.status,
            retry_after_s=failure.retry_after_s,
        )

    def _new_id(self, prefix: str) -> str:
        return prefix + opaque_text(f"{self._seed}:{next(self._ids)}", 24)

    def _close(self, record: RequestRecord, ended: Ended) -> None:
        self.journal.close(record, ended, self._clock.unix_time())


def _check_key(connection: Connection) -> None:
    headers = connection.headers
    bearer = headers.get("authorization", "").removeprefix("Bearer").strip()
    key = headers.get("x-api-key", "") or bearer
    if connection.path.startswith("/sim/"):
        return
    if not key:
        raise RequestError("auth", "You did not provide an API key.")
    if key == _INVALID_KEY:
        raise RequestError("auth")


async def _refuse(
    connection: Connection, api: SimulatedApi, error: RequestError, request_id: str
) -> None:
    headers = {api.request_id_header: request_id}
    if error.retry_after_s is not None:
        # Both SDKs prefer the first one; other clients know only the second.
        headers["retry-after-ms"] = f"{error.retry_after_s * 1000:.0f}"
        headers["retry-after"] = f"{error.retry_after_s:.0f}"
    await connection.respond(error.status, api.error_body(error, request_id), headers)


def _emit_to(connection: Connection, record: RequestRecord) -> Emit:
    async def emit(frames: list[bytes]) -> None:
        record.events_sent += len(frames)
        await connection.send(b"".join(frames), more=True)

    return emit
