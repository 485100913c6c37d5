"""Frames, ids and JSON, as the APIs' folders make them."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import msgspec

from midstream.simulator.failures import RequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from midstream.simulator.turn import ModelRequest

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
