"""`/api/agent/runs`: runs that workers outside write. The client is `gateway/client`."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec
from litestar import Controller, Response, post
from litestar.params import FromPath  # noqa: TC002 (Litestar reads the annotations)
from msgspec import UNSET, Meta, Raw, Struct, UnsetType, structs

from midstream.api import parameters
from midstream.api.chat.start_request import start_request
from midstream.api.context import (
    AgentDependency,
    AnyRequest,
    ApiDependency,
    json_response,
    read_body,
)
from midstream.api.off_loop import off_loop
from midstream.api.parameters import MAX_ERROR_TEXT
from midstream.errors import InvalidRequestError
from midstream.ids import RunId, check_id, is_id
from midstream.protocol.chunks import FinishReason
from midstream.protocol.codec import UNREADABLE, encode
from midstream.protocol.errors import MalformedFrameError
from midstream.protocol.parts import fields_of, json_of
from midstream.protocol.requests import chat_request
from midstream.sessions.spending import cost_of
from midstream.sessions.types import MAX_PUSHED_CHUNKS, Attempt, PushedEnd
from midstream.store.calls import RunKey

if TYPE_CHECKING:
    from midstream.sessions.types import Pushed, PushedRun, StartRequest

DEFAULT_AGENT: Final = "pushed"

MAX_KNOWN_STEERS: Final = 100
"""More than can wait for a run at once."""


class _Asked(Struct, rename="camel"):
    """Fields of a claim that a send does not have.

    Attributes:
        text: a user's message, as its text.
        steering: the worker reads what people say meanwhile.
        lease_ms: how long the run waits for another attempt, once this one is silent.
        side: the run is opened beside the main run, for the one that `parent_run_id` names.
    """

    key: str | None = None
    text: str | None = None
    attempt: Annotated[int, Meta(ge=0, le=2**53 - 1)] | None = None
    on_retry: Literal["replay", "continue"] = "continue"
    steering: bool = False
    lease_ms: Annotated[int, Meta(ge=1, le=2**53 - 1)] | None = None
    side: bool = False
    parent_run_id: str | None = None


class RenewalBody(Struct, frozen=True):
    """What a worker has of the messages for its run, by id. It is told the others; None: none."""

    steers: Annotated[list[str], Meta(max_length=MAX_KNOWN_STEERS)] | None = None


class EndBody(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """End of a run; `first` and `chunks`: its last chunks, as for an append."""

    first: int
    outcome: Literal["finished", "stopped", "failed"]
    chunks: list[Raw] = []
    finish_reason: FinishReason | None = None
    metadata: Raw | UnsetType = UNSET
    error_text: str | None = None


class ClaimedRun(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A claimed run.

    Attributes:
        fence: of this claim, for all that follows; absent if the run has ended.
        next: the sequence of the next chunk to send.
        lease_ms: renew within it.
        max_bytes: of one request.
        chunks: what an earlier attempt has stored, `start` (sequence 0) included.
        message: for a run that continues a message, that message before the run; for a run that
            has ended, the message that it has written.
        messages: the conversation up to the message to answer or to continue.
        stopped_by: end the run as stopped.
        outcome: of a run that has ended.
    """

    run_id: str
    message_id: str
    fence: int = 0
    next: int = 0
    lease_ms: int = 0
    max_bytes: int = 0
    chunks: list[Raw] = []
    message: Raw | UnsetType = UNSET
    messages: list[Raw] = []
    stopped_by: str | None = None
    outcome: str | None = None


class PushReply(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Answer to an append, a renewal and an end.

    `stoppedBy`: end the run as stopped. `steers`: messages for the run, to be taken up by a
    `steering-message` chunk each.
    """

    next: int | UnsetType = UNSET
    stopped_by: str | None = None
    lease_ms: int | UnsetType = UNSET
    steers: list[Raw] = []


class PushController(Controller):
    """Runs of agents outside."""

    path = "/api/agent/runs"
    tags = ["agent"]  # noqa: RUF012 (Litestar's own attribute)

    @post("/", status_code=200, operation_id="claimRun")
    async def claim(
        self, request: AnyRequest, api: ApiDependency, agent: AgentDependency
    ) -> Response[bytes]:
        """Open a run by its key, or take it over from an earlier attempt."""
        body = await read_body(request)
        start, attempt = await off_loop(body, read_claim, body)
        name = check_id(start.agent or DEFAULT_AGENT, "agent's name")
        pushed, held = api.sessions.pushed, api.sessions.held
        async with api.limits.sending(
            agent, start.session_id, start.request_key, streams=False, cost=cost_of(start)
        ) as grant:
            run = await pushed.claim(agent, start, name, attempt)
            if run.fence:
                held.until_ended(start.session_id, run.run.id, grant.run)
        return json_response(_claim(run, pushed.limits.lease_ms, api.settings.max_body_bytes))

    @post("/{chat_id:str}/{run_id:str}/chunks", status_code=200, operation_id="appendChunks")
    async def append(
        self,
        chat_id: FromPath[str],
        run_id: FromPath[str],
        request: AnyRequest,
        api: ApiDependency,
        agent: AgentDependency,
    ) -> Response[bytes]:
        """Append chunks, one a line, from `?first=` on."""
        key = _run_key(chat_id, run_id, request)
        first = _required(request, "first")
        body = await read_body(request)
        # Before a list is made of them; every other line may be empty.
        _check_count(body.count(b"\n") // 2, at_least=0)
        lines = [line for line in body.split(b"\n") if line.strip()]
        _check_count(len(lines), at_least=1)
        return json_response(_reply(await api.sessions.pushed.append(agent, key, first, lines)))

    @post("/{chat_id:str}/{run_id:str}/renew", status_code=200, operation_id="renewRun")
    async def renew(
        self,
        chat_id: FromPath[str],
        run_id: FromPath[str],
        request: AnyRequest,
        api: ApiDependency,
        agent: AgentDependency,
    ) -> Response[bytes]:
        """Keep the run, and wait up to `?waitMs=` for a stop, or a message for the run.

        `?leaseMs=` says how long it waits for the job's next attempt, as in a claim.
        """
        key = _run_key(chat_id, run_id, request)
        known = read_renewal(await read_body(request))
        wait_ms = parameters.number(request, "waitMs", None) or 0
        pushed = api.sessions.pushed
        lease_ms = parameters.number(request, "leaseMs", None)
        renewal = await pushed.renew(agent, key, wait_ms / 1000, known, lease_ms)
        return json_response(
            PushReply(
                stopped_by=renewal.stopped_by,
                lease_ms=pushed.limits.lease_ms,
                steers=list(renewal.steers),
            )
        )

    @post("/{chat_id:str}/{run_id:str}/end", status_code=200, operation_id="endRun")
    async def end(
        self,
        chat_id: FromPath[str],
        run_id: FromPath[str],
        request: AnyRequest,
        api: ApiDependency,
        agent: AgentDependency,
    ) -> Response[bytes]:
        """End the run, once."""
        key = _run_key(chat_id, run_id, request)
        ending = read_ending(await read_body(request))
        return json_response(_reply(await api.sessions.pushed.end(agent, key, ending)))


def read_claim(body: bytes) -> tuple[StartRequest, Attempt]:
    """Read the body of a claim: that of a send, with `key`, and possibly the fields of `_Asked`.

    A text's message has an id by the key, so that it is the same message in every attempt.

    Raises:
        MalformedFrameError: not a JSON object, no message, or a field of another type.
        InvalidRequestError: an id that cannot be one, or none.
    """
    try:
        fields = fields_of(body)
        asked = msgspec.json.decode(json_of(fields), type=_Asked)
        if not asked.key:
            raise InvalidRequestError("unable to claim a run; it needs a `key`")
        if asked.text is not None:
            digest = hashlib.sha256(asked.key.encode("utf-8", "surrogatepass")).hexdigest()
            message = {
                "id": f"msg_{digest[:24]}",
                "role": "user",
                "parts": [{"type": "text", "text": asked.text}],
            }
            fields["message"] = Raw(msgspec.json.encode(message))
            fields.pop("messages", None)
        fields["requestId"] = Raw(msgspec.json.encode(request_key(asked.key)))
        for own in _Asked.__struct_encode_fields__:
            fields.pop(own, None)
        request = chat_request(fields)
    except UNREADABLE as error:
        raise MalformedFrameError(f"unable to read the request; {error}") from None
    if request.id is None:
        raise InvalidRequestError("unable to claim a run; it needs the session's `id`")
    attempt = Attempt(
        number=asked.attempt,
        replays=asked.on_retry == "replay",
        reads=asked.steering,
        patience_ms=asked.lease_ms,
    )
    start = start_request(request, {})
    if asked.side:
        parent = parameters.run_id(asked.parent_run_id)
        start = structs.replace(start, side=True, parent_run_id=parent)
    return start, attempt


def request_key(key: str) -> str:
    """Return the request key of a job's key: the key itself if it can be an id, else its hash.

    Raises:
        InvalidRequestError: it has a character that cannot be printed.
    """
    if is_id(key):
        return key
    if not key.isprintable():
        raise InvalidRequestError("unable to use the job's key; it must be printable text")
    return f"k~{hashlib.sha256(key.encode()).hexdigest()}"


def read_renewal(body: bytes) -> list[str] | None:
    """Read the body of a renewal; None for one that asks for no messages.

    Raises:
        InvalidRequestError: it is not one.
    """
    if not body:
        return None
    try:
        return msgspec.json.decode(body, type=RenewalBody).steers
    except UNREADABLE as error:
        raise InvalidRequestError(f"unable to read the renewal; {error}") from None


def read_ending(body: bytes) -> PushedEnd:
    """Read the body of an end.

    Raises:
        InvalidRequestError: it is not one.
    """
    try:
        asked = msgspec.json.decode(body, type=EndBody)
        metadata = None if asked.metadata is UNSET else asked.metadata
        if metadata is not None:
            fields_of(metadata)
    except UNREADABLE as error:
        raise InvalidRequestError(f"unable to read the end of the run; {error}") from None
    if asked.first < 1 or len(asked.error_text or "") > MAX_ERROR_TEXT:
        raise InvalidRequestError(
            "unable to read the end of the run; `first` is a sequence from 1, and `errorText` at "
            f"most {MAX_ERROR_TEXT} characters"
        )
    _check_count(len(asked.chunks), at_least=0)
    return PushedEnd(
        first=asked.first,
        outcome=asked.outcome,
        lines=[bytes(chunk) for chunk in asked.chunks],
        finish_reason=asked.finish_reason,
        metadata=metadata,
        error_text=asked.error_text,
    )


def _check_count(count: int, *, at_least: int) -> None:
    if not at_least <= count <= MAX_PUSHED_CHUNKS:
        raise InvalidRequestError(
            f"unable to take {count} chunks; send {at_least} to {MAX_PUSHED_CHUNKS}, one a line"
        )


def _run_key(chat_id: str, run_id: str, request: AnyRequest) -> RunKey:
    return RunKey(
        session_id=parameters.session_id(chat_id),
        run_id=RunId(check_id(run_id, "run id")),
        fence=_required(request, "fence"),
    )


def _required(request: AnyRequest, name: str) -> int:
    value = parameters.number(request, name, None)
    if value is None:
        raise InvalidRequestError(f"unable to read the request; it needs `?{name}=`")
    return value


def _claim(run: PushedRun, lease_ms: int, max_bytes: int) -> ClaimedRun:
    info = run.run
    message = run.continued if run.fence else run.written
    return ClaimedRun(
        run_id=info.id,
        message_id=info.message_id,
        fence=run.fence,
        next=run.next,
        lease_ms=lease_ms,
        max_bytes=max_bytes,
        chunks=[Raw(encode(chunk)) for chunk in run.stored],
        message=UNSET if message is None else message.raw,
        messages=list(run.messages),
        stopped_by=run.stopped_by,
        outcome=info.outcome,
    )


def _reply(pushed: Pushed) -> PushReply:
    return PushReply(next=pushed.next, stopped_by=pushed.stopped_by)
