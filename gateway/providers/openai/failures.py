"""Failures in events that OpenAI's translators cannot read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Raw, Struct

from midstream.protocol.codec import UNREADABLE
from midstream.providers.failures.faults import Fault
from midstream.providers.failures.reported import failure_in, tells_of_failure
from midstream.providers.stream.loose import Side, reader

if TYPE_CHECKING:
    from midstream.errors import ProviderError

UNREADABLE_EVENT: Final = "unable to understand a part of what the model provider answered"

_NO_JSON: Final = Raw()


class EventHead(Struct):
    """Fields that tell events and items apart."""

    type: str = ""
    id: Side[str | None] = None
    choices: Raw = _NO_JSON


_read_head = reader(EventHead)


def what_is(event: bytes) -> tuple[str, ProviderError | None]:
    """Return the type of an event that is none as documented, and the failure that it tells of."""
    try:
        head = _read_head(event)
    except UNREADABLE:
        head = EventHead()
    if head.type == "error" or tells_of_failure(event):
        return head.type, failure_in(event)
    if head.choices is not _NO_JSON and not head.type:
        # A Chat Completions stream: the address is of another API than configured.
        return head.type, Fault.MISCONFIGURED.error()
    return head.type, None
