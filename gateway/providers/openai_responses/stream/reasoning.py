"""Reasoning of a Responses stream: a part for each part of an item's summary.

Part 0 opens with the item, whether or not a summary follows, so that its encrypted content
has a place. Where the provider stores responses, a part closes when its text is done. Where
it does not, the last part must carry the encrypted content, which comes with the item's end:
a finished part then stays open until the next one begins.

Source: @ai-sdk/openai 4.0.118, `responses/openai-responses-language-model.ts`.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from msgspec import Struct, UnsetType, field

from midstream.protocol.chunks import (
    AnyChunk,
    Json,
    ReasoningDeltaChunk,
    ReasoningEndChunk,
    ReasoningStartChunk,
)
from midstream.providers.openai.metadata import openai_metadata

if TYPE_CHECKING:
    from collections.abc import Callable

    from midstream.providers.openai_responses.stream.events import ReasoningItem
    from midstream.providers.part_ids import PartIds


class _State(Enum):
    OPEN = "its text streams"
    DONE = "its text is complete, its end is held back"
    CLOSED = "ended"


class _OpenReasoning(Struct):
    id: str
    encrypted_content: str | None
    metadata: Json | UnsetType
    parts: dict[int, _State] = field(default_factory=dict)
    part_ids: dict[int, str] = field(default_factory=dict)
    summarized: bool = False
    thinks_aloud: bool = False


class ReasoningItems:
    """The reasoning items of a step.

    Args:
        part_ids: the run's.
        new_id: makes ids for parts whose own are taken.
        stored: the request asked the provider to store the response.
    """

    def __init__(self, part_ids: PartIds, new_id: Callable[[], str], *, stored: bool) -> None:
        """Begin a step."""
        self._part_ids = part_ids
        self._new_id = new_id
        self._stored = stored
        self._items: dict[str, _OpenReasoning] = {}

    @property
    def is_open(self) -> bool:
        """Whether an item has begun and not ended."""
        return bool(self._items)

    def begin(self, item: ReasoningItem) -> list[AnyChunk]:
        """An item begins: so does its first part."""
        state = _OpenReasoning(item.id, item.encrypted_content, openai_metadata(itemId=item.id))
        self._items[item.id] = state
        return [self._open(state, 0)]

    def begin_part(self, item_id: str, index: int) -> list[AnyChunk]:
        """A part of the summary begins: what was held back ends."""
        item = self._items.get(item_id)
        if item is None:
            return []
        item.summarized = True
        return self._begin_part(item, index)

    def _begin_part(self, item: _OpenReasoning, index: int) -> list[AnyChunk]:
        if index in item.parts:
            return []
        held_back = [i for i, state in item.parts.items() if state is _State.DONE]
        chunks: list[AnyChunk] = [self._close(item, i, item.metadata) for i in sorted(held_back)]
        chunks.append(self._open(item, index))
        return chunks

    def add(self, item_id: str, index: int, text: str) -> list[AnyChunk]:
        """Text of a part; dropped if the part never began, or ended."""
        item = self._items.get(item_id)
        # Of a part that is done, too: its end is held back, so that it can still be read.
        if item is None or item.parts.get(index, _State.CLOSED) is _State.CLOSED:
            return []
        return [
            ReasoningDeltaChunk(
                id=item.part_ids[index], delta=text, provider_metadata=item.metadata
            )
        ]

    def think(self, item_id: str, index: int, text: str) -> list[AnyChunk]:
        """The thinking itself, of a model that has no summary made of it.

        Args:
            item_id: whose it is.
            index: of the part of the item's content.
            text: more of it.
        """
        item = self._items.get(item_id)
        if item is None or item.summarized:
            return []
        item.thinks_aloud = True
        return [*self._begin_part(item, index), *self.add(item_id, index, text)]

    def end_thoughts(self) -> list[AnyChunk]:
        """Another item begins: end those that think aloud, whose end may come much later."""
        aloud = [item for item in self._items.values() if item.thinks_aloud]
        return [chunk for item in aloud for chunk in self.end(item.id, item.encrypted_content)]

    def end_part(self, item_id: str, index: int) -> list[AnyChunk]:
        """A part's text is complete."""
        item = self._items.get(item_id)
        if item is None or item.parts.get(index) is not _State.OPEN:
            return []
        if self._stored:
            return [self._close(item, index, item.metadata)]
        item.parts[index] = _State.DONE
        return []

    def end(self, item_id: str, encrypted_content: str | None) -> list[AnyChunk]:
        """An item ends, and with it each part that has not."""
        item = self._items.pop(item_id, None)
        if item is None:
            return []
        metadata = openai_metadata(itemId=item_id, reasoningEncryptedContent=encrypted_content)
        return [
            self._close(item, index, metadata)
            for index, state in sorted(item.parts.items(), key=lambda part: part[0])
            if state is not _State.CLOSED
        ]

    def _open(self, item: _OpenReasoning, index: int) -> ReasoningStartChunk:
        item.parts[index] = _State.OPEN
        part_id = self._part_ids.reasoning(f"{item.id}:{index}", self._new_id)
        item.part_ids[index] = part_id
        return ReasoningStartChunk(
            id=part_id,
            provider_metadata=openai_metadata(
                itemId=item.id, reasoningEncryptedContent=item.encrypted_content
            ),
        )

    def _close(
        self, item: _OpenReasoning, index: int, metadata: Json | UnsetType
    ) -> ReasoningEndChunk:
        item.parts[index] = _State.CLOSED
        return ReasoningEndChunk(id=item.part_ids[index], provider_metadata=metadata)
