"""Answers that OpenAI's Responses API keeps, so that later requests can point at them."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from msgspec import Raw


class StoredResponse(NamedTuple):
    """A finished response and the conversation that it ends."""

    items: tuple[Raw, ...]
    body: bytes


class ResponseStore:
    """The latest answers by id, and their items by id.

    Args:
        limit: how many answers; the oldest goes first.
    """

    def __init__(self, limit: int = 500) -> None:
        self._limit = limit
        self._responses: OrderedDict[str, StoredResponse] = OrderedDict()
        self._items: OrderedDict[str, Raw] = OrderedDict()

    def put(
        self,
        response_id: str,
        history: tuple[Raw, ...],
        output: dict[str, Raw],
        body: bytes,
    ) -> None:
        """Keep an answer; `output` maps its items' ids to the items."""
        self._responses[response_id] = StoredResponse((*history, *output.values()), body)
        self._items.update(output)
        while len(self._responses) > self._limit:
            self._responses.popitem(last=False)
        while len(self._items) > 4 * self._limit:
            self._items.popitem(last=False)

    def response(self, response_id: str) -> StoredResponse | None:
        """Return an answer, or None."""
        return self._responses.get(response_id)

    def item(self, item_id: str) -> Raw | None:
        """Return one item of an answer, or None."""
        return self._items.get(item_id)
