"""`midstream diagnose`: asks a gateway what happened in a session, and prints it."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit, urlunsplit

import msgspec
from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT_S: Final = 30
MAX_BYTES: Final = 32 * 1024 * 1024


class _Line(Struct, rename="camel"):
    at_ms: int
    text: str
    failure: str = ""


class _Told(Struct):
    """A diagnosis, as far as it is printed."""

    failures: dict[str, int]
    timeline: list[_Line]
    complete: bool


class _Refusal(Struct):
    """The error in an answer of a gateway."""

    message: str


class _Refused(Struct):
    error: _Refusal


class UndiagnosedError(Exception):
    """The gateway has not told; the sentence says why."""


def print_diagnosis(url: str, token: str, say: Callable[[str], None]) -> None:
    """Print the diagnosis of a session.

    Args:
        url: of the session at its gateway, `https://HOST/api/chat/ID`.

    Raises:
        UndiagnosedError: the gateway cannot be reached, or refuses.
    """
    told = _ask(url, token)
    if not told.complete:
        say("The log is not kept from its beginning: this is not all that happened.")
    for each in told.timeline:
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(each.at_ms / 1000))
        say(f"{at}  {each.text}" + (f" [{each.failure}]" if each.failure else ""))
    counts = ", ".join(f"{count} × {failure}" for failure, count in told.failures.items())
    say(f"Failures: {counts}." if counts else "No failures.")


def _ask(url: str, token: str) -> _Told:
    parts = urlsplit(url)
    path = parts.path.rstrip("/").removesuffix("/diagnosis")
    address = urlunsplit((parts.scheme, parts.netloc, f"{path}/diagnosis", "", ""))
    headers = {"accept": "application/json"}
    if token:
        headers["authorization"] = f"Bearer {token}"
    request = urllib.request.Request(address, headers=headers)  # noqa: S310 - http alone; see cli.py
    try:
        with urllib.request.urlopen(request, timeout=LIMIT_S) as answer:  # noqa: S310
            return msgspec.json.decode(answer.read(MAX_BYTES), type=_Told)
    except urllib.error.HTTPError as refused:
        with refused:
            reason = _reason(refused)
        raise UndiagnosedError(reason) from None
    except (OSError, HTTPException) as error:
        cause = getattr(error, "reason", error)
        raise UndiagnosedError(f"unable to reach the gateway; {cause}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise UndiagnosedError(
            "unable to read the answer; there is no gateway at this address, or another version"
        ) from None


def _reason(refused: urllib.error.HTTPError) -> str:
    try:
        return msgspec.json.decode(refused.read(MAX_BYTES), type=_Refused).error.message
    except (msgspec.MsgspecError, UnicodeDecodeError, OSError):
        return f"unable to ask the gateway; it answers {refused.code}"
