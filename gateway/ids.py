"""Types of identifiers, which cannot be swapped, and checks of those from outside."""

from __future__ import annotations

import re
import secrets
import time
from typing import Final, NewType

from midstream.errors import InvalidRequestError

SessionId = NewType("SessionId", str)
"""The AI SDK's chat id."""
RunId = NewType("RunId", str)
MessageId = NewType("MessageId", str)
UserId = NewType("UserId", str)
"""The `sub` of a token; `ANONYMOUS` while authentication is off."""

TenantId = NewType("TenantId", str)
"""The tenant of a token's bearer; `NO_TENANT` if tokens name none."""
Reach = NewType("Reach", str)
"""The sessions that a change may touch: `TENANT|USER`, `TENANT|*` for any user's, or `*`."""

ANONYMOUS: Final = UserId("")
NO_TENANT: Final = TenantId("")
EVERYWHERE: Final = Reach("*")
"""Reach of the gateway's own work, and of changes that were checked before."""

MAX_ID_LENGTH: Final = 128
"""Long enough for a UUID with a prefix; short enough that a key stays one cache line or two."""

# Printable ASCII that is safe in a URL path, a Redis hash tag, a zset member and a log line.
# Braces would move the cluster slot; `|`, blanks and line ends are our own separators.
_ID: Final = re.compile(r"[A-Za-z0-9_\-.:~@+=]{1,128}")
_SAFE: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.:~@+")
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZabcdefghjkmnpqrstvwxyz"


def check_id(value: str, what: str) -> str:
    """Return `value` if it is usable as an id.

    Args:
        value: from a client.
        what: names it in the error, for example `chat id`.

    Raises:
        InvalidRequestError: empty, too long, `.`/`..`, or with a character outside
            `A-Z a-z 0-9 _ - . : ~ @ + =`.
    """
    if not is_id(value):
        raise InvalidRequestError(
            f"unable to use the {what}; it must be 1 to {MAX_ID_LENGTH} characters of "
            "A-Z a-z 0-9 _ - . : ~ @ + = and not '.' or '..'",
        )
    return value


def is_id(value: str) -> bool:
    """Whether `check_id` takes the value."""
    return _ID.fullmatch(value) is not None and value not in {".", ".."}


def escaped(text: str) -> str:
    """Return any text as characters that ids may have: others become `=XX`.

    Distinct texts stay distinct (`auth0|7` is `auth0=7C7`).
    """
    # A lone surrogate is valid JSON, if not valid text.
    octets = text.encode("utf-8", "surrogatepass")
    return "".join(chr(byte) if byte in _SAFE else f"={byte:02X}" for byte in octets)


def new_id(prefix: str) -> str:
    """Return a fresh id, `prefix_` and 24 characters: sortable by time, then random."""
    stamp = time.time_ns() // 1_000_000
    head = ""
    for _ in range(9):
        stamp, digit = divmod(stamp, 32)
        head = _ALPHABET[digit] + head
    return f"{prefix}_{head}" + "".join(secrets.choice(_ALPHABET) for _ in range(15))


_SIDE_RUN: Final = "run_side_"


def new_side_run_id() -> RunId:
    """Return a fresh id of a side run, which `is_side_run` knows."""
    return RunId(new_id(_SIDE_RUN.removesuffix("_")))


def is_side_run(run_id: RunId) -> bool:
    """Whether a run is a side run, by its id: records of chunks have nothing else to tell."""
    return run_id.startswith(_SIDE_RUN)


def part_id() -> str:
    """Return a fresh id for a part of a message."""
    return new_id("part")
