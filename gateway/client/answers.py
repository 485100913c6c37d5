"""Interprets answers: from a gateway, from a server in front of it, or from something else.

Sans-IO. A load balancer in front of a gateway answers with pages of its own while the gateway
is away. At an address where no gateway has ever answered, such a page means that the address
is wrong, unless its status says "later".
"""

from __future__ import annotations

import ssl
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import msgspec

from midstream.client.errors import KeyReusedError, NotAGatewayError, RefusedError
from midstream.protocol.codec import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")

_LATER: Final = frozenset({408, 429, 500, 502, 503, 504, *range(520, 528)})
"""Statuses of a proxy whose gateway is down; 520 and up are Cloudflare's."""

_BROKEN_OFF: Final = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
"""TLS errors of a connection that was cut; other TLS errors mean a wrong address."""

_NO_DETAILS: Final[Mapping[str, object]] = MappingProxyType({})


Form = Literal["json", "run", "nothing"]
"""What a gateway answers with: JSON; a run's stream, or JSON about its place in the queue; no body.
Of a stream only the head is read."""


class Head:
    """The status of an answer, and the headers that matter here."""

    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        self.status = status
        self.media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        self.location = headers.get("location", "")[:200]
        self._run_id = headers.get("x-midstream-run-id", "")

    @property
    def is_json(self) -> bool:
        """Whether the answer is JSON, as every answer of a gateway to this client is."""
        return self.media_type == "application/json"

    @property
    def is_stream(self) -> bool:
        """Whether the answer is an event stream."""
        return self.status == 200 and self.media_type == "text/event-stream"

    def has(self, form: Form) -> bool:
        """Whether a gateway that has carried out the request answers like this."""
        if form == "nothing":
            return self.status == 204
        if form == "run" and self.is_stream:
            return bool(self._run_id)
        return self.is_json and self.status in ((200, 202) if form == "run" else (200,))

    @property
    def as_json(self) -> bytes:
        """What an answer says that has no JSON: an object, with the run whose stream it is."""
        return msgspec.json.encode({"runId": self._run_id} if self.is_stream else {})

    def is_away(self, *, known: bool) -> bool:
        """Whether a server in front of a gateway may answer like this while the gateway is away.

        Args:
            known: a gateway has answered at this address before.
        """
        return self.status in _LATER or (known and (self.status < 400 or self.status == 404))

    def __str__(self) -> str:
        """Describe the answer, for a sentence."""
        what = f"the status {self.status}"
        return f"{what} and {self.media_type}" if self.media_type else what


def read_answer(body: bytes, kind: type[T]) -> T | None:
    """Decode the body of a 200; None if it is not a gateway's."""
    try:
        return msgspec.json.decode(body, type=kind)
    except UNREADABLE:
        return None


def read_refusal(head: Head, body: bytes) -> RefusedError | None:
    """Decode the error in a body; None if it is not a gateway's."""
    try:
        error: dict[str, Any] = msgspec.json.decode(body, type=dict[str, dict[str, Any]])["error"]
    except (*UNREADABLE, KeyError):
        return None
    message, code = error.get("message"), error.get("code")
    if not isinstance(message, str) or not isinstance(code, str):
        return None
    kind = KeyReusedError if code == "key_reused" else RefusedError
    return kind(message, status=head.status, code=code, details=error)


def refusal_of_none(head: Head) -> RefusedError:
    """Make the error of a request that a server in front of the gateway refuses."""
    return RefusedError(
        f"unable to use this gateway; the address answered with {head}",
        status=head.status,
        code="",
        details=_NO_DETAILS,
    )


def not_a_gateway(url: str, head: Head) -> NotAGatewayError:
    """Make the error of an address where something else answers."""
    if 300 <= head.status < 400 and head.location:
        said = f"it redirects to {head.location}. Use the address that answers itself"
    else:
        said = f"it answered with {head}, as no gateway does. Check the address"
    return NotAGatewayError(f"unable to find a gateway at {url}; {said}")


def wrong_protocol(url: str, error: BaseException) -> NotAGatewayError | None:
    """Make the error of an address that does not speak HTTP, or not this TLS.

    Args:
        error: the connection's error, before any answer.

    Returns:
        None if the connection was only lost.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return NotAGatewayError(
                f"unable to trust {url}; {cause.verify_message}. Check the certificate"
            )
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, _BROKEN_OFF):
            return NotAGatewayError(
                f"unable to find a gateway at {url}; it does not speak TLS. Is it an http:// one?"
            )
        if type(cause).__module__.startswith("h11."):
            return NotAGatewayError(
                f"unable to find a gateway at {url}; it does not answer in HTTP. Check the address"
            )
        cause = cause.__cause__ or cause.__context__
    return None
