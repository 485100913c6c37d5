"""Headers of a proxied call about its session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

import msgspec
from litestar.datastructures import Headers
from msgspec import Raw, Struct

from midstream.errors import InvalidRequestError
from midstream.ids import MessageId, SessionId, check_id
from midstream.protocol.messages import TextPart, readable_parts
from midstream.providers.passthrough.api import ProxiedApi
from midstream.providers.registry import proxied_api

if TYPE_CHECKING:
    from collections.abc import Sequence

    from litestar.types import Scope

    from midstream.api.proxy.target import Target

SESSION_HEADER: Final = "x-midstream-session"
RUN_KEY_HEADER: Final = "x-midstream-run"
MESSAGE_HEADER: Final = "x-midstream-message"
TEXT_HEADER: Final = "x-midstream-text"
AGENT_HEADER: Final = "x-midstream-agent"
END_HEADER: Final = "x-midstream-end"
RETRIES_HEADER: Final = "x-stainless-retry-count"
"""Header of both SDKs, in all languages, that counts retries."""

DEFAULT_AGENT: Final = "proxy"

_SWITCH: Final = {"true": True, "1": True, "false": False, "0": False}


class SessionHeaders(Struct, frozen=True, kw_only=True):
    """The values of these headers.

    Attributes:
        api: the API of the call.
        text: the person's own words, without the prompt around them.
        ends: the run ends with this call.
        tried: number of earlier tries.
    """

    api: ProxiedApi
    session_id: SessionId
    run_key: str | None
    message_id: MessageId | None
    text: str | None
    agent: str
    ends: bool
    tried: int

    @classmethod
    def read(cls, scope: Scope, target: Target) -> SessionHeaders | None:
        """Return the values; None for a request that is no call, or names no session.

        Raises:
            InvalidRequestError: an invalid id or value.
        """
        headers = Headers.from_scope(scope)
        session_id = headers.get(SESSION_HEADER)
        api = proxied_api(target.path)
        if session_id is None or api is None or scope.get("method") != "POST":
            return None
        run_key, message_id = headers.get(RUN_KEY_HEADER), headers.get(MESSAGE_HEADER)
        tried = headers.get(RETRIES_HEADER, "0")
        return cls(
            api=api,
            session_id=SessionId(check_id(session_id, SESSION_HEADER)),
            run_key=None if run_key is None else check_id(run_key, RUN_KEY_HEADER),
            message_id=None
            if message_id is None
            else MessageId(check_id(message_id, MESSAGE_HEADER)),
            text=_text(headers.get(TEXT_HEADER)),
            agent=check_id(headers.get(AGENT_HEADER, DEFAULT_AGENT), AGENT_HEADER),
            ends=_switch(headers.get(END_HEADER, "false")),
            tried=int(tried) if tried.isdecimal() and len(tried) < 6 else 0,
        )


def said_by(text: str | None, said: Sequence[Raw] | None) -> Sequence[Raw] | None:
    """Return the parts of the user's message: those of the call, with the text in its place."""
    if text is None:
        return said
    part = Raw(msgspec.json.encode({"type": "text", "text": text}))
    return [part, *(raw for raw in said or () if not _is_text(raw))]


def _is_text(raw: Raw) -> bool:
    return any(isinstance(part, TextPart) for part in readable_parts([raw]))


def _text(value: str | None) -> str | None:
    if value is None:
        return None
    text = unquote(value.encode("latin-1").decode(errors="replace")).strip()
    if not text:
        raise InvalidRequestError(
            f"unable to read {TEXT_HEADER}; it must be the person's text, percent-encoded as in "
            "a URL"
        )
    return text


def _switch(value: str) -> bool:
    switch = _SWITCH.get(value.strip().lower())
    if switch is None:
        raise InvalidRequestError(f"unable to read {END_HEADER}; it must be `true` or `false`")
    return switch
