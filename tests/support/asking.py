"""How the table of access rights asks: requests to a session, by what they do."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from tests.support.callers import WRITER

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.support.in_process import InProcess
    from tests.unit.gateway.api.fakes import Answer

SAID: Final = "sesame"
"""In every session: what a foreigner never reads."""

CHUNK: Final = b'{"type":"start-step"}'

numbers: Final = itertools.count()


class Place(Struct, frozen=True):
    """A session of ann's, and a run of it that is pushed."""

    id: str
    run: str = "run_1"
    fence: int = 1


def get(path: str) -> Callable[[InProcess, Place, Mapping[str, str]], Any]:
    return lambda app, place, headers: app.ask("GET", path.format(place), headers=headers)


def post(
    path: str, body: Callable[[Place], object], **more: str
) -> Callable[[InProcess, Place, Mapping[str, str]], Any]:
    return lambda app, place, headers: app.ask(
        "POST", path.format(place), body(place), {**headers, **more}
    )


def frame(**fields: Any) -> Callable[[InProcess, Place, Mapping[str, str]], Any]:
    return lambda app, place, headers: app.frames(
        "/api/chat",
        {"requestId": "r", "id": place.id, "headers": {}, "body": {}, **fields},
        headers,
    )


def message(text: str = "mine now") -> dict[str, object]:
    number = next(numbers)
    return {"id": f"u{number}", "role": "user", "parts": [{"type": "text", "text": text}]}


def a_send(place: Place) -> dict[str, object]:
    return {"id": place.id, "messages": [message()], "trigger": "submit-message"}


def v4_message() -> dict[str, object]:
    return {**message(), "content": "mine now"}


def says_it(answer: Answer) -> bool:
    return SAID.encode() in answer.body


def a_call(_: Place) -> dict[str, object]:
    content = f"call {next(numbers)}"
    return {
        "model": "sim-instant",
        "max_tokens": 64,
        "messages": [{"role": "user", "content": content}],
    }


def proxied(session: str) -> dict[str, str]:
    """Headers of a call that passes through a session."""
    return {
        "x-api-key": "simulated",
        "anthropic-version": "2023-06-01",
        "x-midstream-session": session,
        "x-midstream-agent": WRITER,
    }
