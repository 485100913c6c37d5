"""Places of a Responses stream's output items, named by the server or found out.

OpenAI numbers them, and each event has its item's `output_index`. Some compatible servers
(llama.cpp) leave it out, and may leave out ids, too. Then an event belongs to the item of its id,
else to the newest one of its kind that is open; and what ends is the oldest one.
"""

from __future__ import annotations

from typing import Final

_FIRST_PLACE: Final = 1 << 20
"""Beyond the indices of items that have one."""

KIND_OF_EVENT: Final = {
    "response.content_part.added": "message",
    "response.content_part.done": "message",
    "response.output_text.delta": "message",
    "response.refusal.delta": "message",
    "response.refusal.done": "message",
    "response.output_text.annotation.added": "message",
    "response.reasoning_text.delta": "reasoning",
    "response.reasoning_summary_text.delta": "reasoning",
    "response.reasoning_summary_part.added": "reasoning",
    "response.reasoning_summary_part.done": "reasoning",
    "response.function_call_arguments.delta": "function_call",
    "response.custom_tool_call_input.delta": "custom_tool_call",
}
"""Event -> the type of the item that it belongs to."""


class ItemPlaces:
    """The items of one response, each at its index or at a place of ours.

    Attributes:
        unnumbered: whether an item had no index.
    """

    def __init__(self) -> None:
        """Begin without any."""
        self.unnumbered = False
        self._open: dict[int, str] = {}
        self._by_id: dict[str, int] = {}
        self._count = 0

    def begin(self, index: int | None, item_id: str, kind: str) -> int:
        """Return the place of an item that begins."""
        if index is None:
            self.unnumbered = True
            index = _FIRST_PLACE + self._count
            self._count += 1
        self._open[index] = kind
        if item_id:
            self._by_id[item_id] = index
        return index

    def find(self, item_id: str, event: str) -> int | None:
        """Return the place of the item that an event without an index belongs to, if any."""
        place = self._by_id.get(item_id)
        if place is not None:
            return place
        kind = KIND_OF_EVENT.get(event)
        return next((at for at in reversed(self._open) if self._open[at] == kind), None)

    def end(self, index: int | None, item_id: str, kind: str) -> int:
        """Return the place of an item that ends; one that never began gets one of its own."""
        if index is None:
            index = self._by_id.get(item_id)
        if index is None:
            index = next((at for at, opened in self._open.items() if opened == kind), None)
        if index is None:
            index = self.begin(None, item_id, kind)
        self._open.pop(index, None)
        return index
