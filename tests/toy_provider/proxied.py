"""The toy at the proxy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Raw, Struct

from midstream.providers.passthrough.api import ProxiedApi, ProxyVendor
from midstream.providers.passthrough.call import NO_JSON, CallBody, ModelCall, UserSaid
from midstream.providers.passthrough.content import shown_parts
from midstream.providers.passthrough.ending import STOPPED_COMMENT, STOPPED_FIELD
from tests.toy_provider.stream import ToyTranslator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from midstream.errors import GatewayError
    from midstream.providers.part_ids import PartIds

    Json = dict[str, Any]


class _Turn(Struct):
    who: str = ""
    says: Raw = NO_JSON


class _ToyBody(CallBody):
    turns: list[Raw] | None = None


_body = msgspec.json.Decoder(_ToyBody)
_turn = msgspec.json.Decoder(_Turn)


def _read_call(body: bytes) -> ModelCall:
    request = _body.decode(body)
    return request.call(request.turns or (), _read_turn)


def _read_turn(raw: Raw) -> UserSaid | tuple[()]:
    turn = _turn.decode(raw)
    return UserSaid(shown_parts(turn.says, {})) if turn.who == "user" else ()


def _translator(
    call: ModelCall, new_id: Callable[[], str], part_ids: PartIds, compatible: str | None = None
) -> ToyTranslator:
    return ToyTranslator(new_id=new_id, part_ids=part_ids)


def events_of_answer(answer: Json) -> Iterator[Json]:
    """Yield the events that would have streamed a whole answer."""
    yield {"word": answer["text"]}
    yield {"over": True, "words": answer["words"]}


class ToyEnding:
    """Implements `Ending`."""

    def __init__(self, _new_id: Callable[[], str]) -> None:
        self._words = 0
        self._over = False

    def receive(self, event: bytes) -> None:
        """Count a word, or see the end."""
        said = msgspec.json.decode(event, type=dict[str, Any])
        self._words += "word" in said
        self._over = self._over or "over" in said

    def close(self) -> bytes:
        """Say that it is over."""
        if self._over:
            return b""
        last = {"over": True, "words": self._words, STOPPED_FIELD: True}
        return STOPPED_COMMENT + b"data: %b\n\n" % msgspec.json.encode(last)


SPEAK: Final = ProxiedApi(
    path="speak",
    read_call=_read_call,
    translator=_translator,
    ending=ToyEnding,
    events_of=events_of_answer,
    last_event=b'{"over":true}',
)


def _error_body(error: GatewayError) -> bytes:
    return msgspec.json.encode({"trouble": error.message, "code": error.code})


TOY: Final = ProxyVendor(
    base_url_variable="TOY_BASE_URL",
    base_url="https://toy.example",
    is_own=lambda _: True,
    key_header=lambda key: (b"x-api-key", key.encode()),
    error_body=_error_body,
)
