"""Contract of an API in the simulator, and its helpers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from hashlib import blake2b
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol, TypeVar

import msgspec

from midstream.simulator.failures import RequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from midstream.simulator.directives import AnswerScript
    from midstream.simulator.holds import AnswerHolds
    from midstream.simulator.player import Clock, Emit, Ending
    from midstream.simulator.turn import ModelRequest, PlannedAnswer

T = TypeVar("T")

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

encode_json = msgspec.json.Encoder().encode


class FramedEvent(NamedTuple):
    """One server-sent event, framed; `delta` says that it carries a piece of the answer.

    Without bytes it is a piece that the wire does not show: it takes its time all the same.
    """

    frame: bytes
    delta: bool = False


class Asked(NamedTuple):
    """Context of an answer beside its plan.

    Attributes:
        request: the conversation.
        created: seconds since 1970.
        new_id: makes an id with the prefix given; never the same twice.
    """

    request: ModelRequest
    created: int
    new_id: Callable[[str], str]


class FollowedAnswer(Protocol):
    """An answer in the background, which any number of connections may follow."""

    def body(self) -> bytes:
        """Return its object as it is now."""
        ...

    async def follow(self, after: int, emit: Emit) -> Ending:
        """Send its events after one of them; see `Player.play` for what is returned."""
        ...

    def cancel(self) -> None:
        """End it."""
        ...

    async def wait(self) -> None:
        """Wait for its end."""
        ...


class SimulatedApi(ABC):
    """An API: its paths, and the shapes of its requests, answers and errors. Does no I/O.

    Attributes:
        name: in the journal: the kind of provider, as in settings.
        base_path: where its SDK's base URL ends.
        path: of its calls, below that.
        request_id_header: the header of an answer that names its request.
    """

    name: ClassVar[str]
    base_path: ClassVar[str]
    path: ClassVar[str]
    request_id_header: ClassVar[str] = "x-request-id"

    @abstractmethod
    def read_request(self, body: bytes, headers: Mapping[str, str]) -> ModelRequest:
        """Check and understand a request.

        Raises:
            RequestError: as the provider would refuse it.
        """

    @abstractmethod
    def stream(self, turn: PlannedAnswer, exchange: Asked) -> Iterator[FramedEvent]:
        """Yield the whole answer's events, terminal included."""

    @abstractmethod
    def body(self, turn: PlannedAnswer, exchange: Asked) -> bytes:
        """Return the answer to a request that does not stream."""

    @abstractmethod
    def error_event(self, error: RequestError, sequence: int) -> bytes:
        """Return the event of an error after `sequence` events, framed."""

    @abstractmethod
    def error_body(self, error: RequestError, request_id: str) -> bytes:
        """Return the body of an error status."""

    def look_up(self, method: str, path: str, body: bytes) -> bytes | None:
        """Answer another request below the base path; None: it has none.

        Raises:
            RequestError: there is nothing of that name.
        """
        return None

    def begin_background(
        self,
        script: AnswerScript,
        turn: PlannedAnswer,
        exchange: Asked,
        clock: Clock,
        holds: AnswerHolds,
    ) -> FollowedAnswer:
        """Begin to generate an answer whose request asks for that in the background."""
        raise NotImplementedError

    def find_background(self, method: str, path: str) -> FollowedAnswer | None:
        """Return the answer in the background that a request is about, if it is about one."""
        return None

    async def close(self) -> None:  # noqa: B027 - most generate nothing in the background
        """End what is generated in the background."""


def sse(name: str | None, payload: object) -> bytes:
    """Frame an event as both providers do: `event` (if named), `data`, empty line."""
    head = b"" if name is None else b"event: " + name.encode() + b"\n"
    return head + b"data: " + encode_json(payload) + b"\n\n"


def opaque_text(seed: str, length: int) -> str:
    """Return `length` base-62 characters that follow from `seed`: ids, sealed reasoning."""
    number = int.from_bytes(b"".join(_blocks(seed, length)), "big")
    digits: list[str] = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(_BASE62[digit])
    return "".join(digits)


def _blocks(seed: str, length: int) -> Iterator[bytes]:
    # Six bits or less a character, 64 bytes a block.
    for index in range(length * 6 // 512 + 1):
        yield blake2b(f"{index}:{seed}".encode()).digest()


def seal(kind: str, text: str) -> str:
    """Return what stands for sealed reasoning: the same for the same text, and checkable."""
    return opaque_text(f"{kind}:{text}", 240 + min(len(text), 1200) // 4 * 2)


def decode_request(body: bytes, kind: type[T]) -> T:
    """Decode a request body.

    Raises:
        RequestError: it is not JSON, or not of that shape.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise RequestError("invalid", f"{error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RequestError(
            "invalid", "We could not parse the JSON body of your request."
        ) from error


def openai_error(error: RequestError) -> dict[str, object]:
    """Return an error in OpenAI's shape, for a body and for a Chat Completions event."""
    failure = error.failure
    detail = {
        "message": error.message,
        "type": failure.openai_type,
        "param": error.param,
        "code": failure.openai_code,
    }
    return {"error": detail}
