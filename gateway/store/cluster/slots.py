"""Slots: which one a command belongs to, and which node serves it."""

from __future__ import annotations

from bisect import bisect_right
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from redis.crc import key_slot

if TYPE_CHECKING:
    from collections.abc import Iterable

    from midstream.store.scripts.script import Command

SLOTS: Final = 16_384

CACHED_SLOTS: Final = 8_192
"""Keys whose slots are kept at hand, and whose nodes."""

_KEYLESS: Final = frozenset({"PING", "TIME", "INFO", "CONFIG", "SCRIPT", "SCAN", "PUBLISH"})
"""Commands that any node serves."""


class Node(NamedTuple):
    """Where a node listens for clients."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


slot_of = lru_cache(maxsize=CACHED_SLOTS)(key_slot)
"""Return a key's slot: of its hash tag, if it has one."""


def slot_of_command(command: Command) -> int | None:
    """Return the slot of a command's first key; None if it has no key."""
    name = str(command[0])
    if name == "EVALSHA":
        return _slot(command[3]) if int(command[2]) else None
    if name in _KEYLESS or len(command) < 2:
        return None
    return _slot(command[2] if name == "MEMORY" else command[1])


def _slot(key: Any) -> int:
    return slot_of(key if isinstance(key, bytes) else str(key).encode())


class SlotMap:
    """Which primary serves each slot, at one moment. Immutable, but for what it has looked up.

    Args:
        ranges: first slot, last slot and node of each; slots in none of them have no node.
    """

    def __init__(self, ranges: Iterable[tuple[int, int, Node]] = ()) -> None:
        self._ranges = sorted(ranges)
        self._firsts = [first for first, _, _ in self._ranges]
        self._by_key: dict[bytes, Node | None] = {}

    @classmethod
    def read(cls, reply: Any, asked: Node) -> Self:
        """Read the answer to CLUSTER SLOTS.

        Args:
            asked: who has answered: a node that does not know its own host leaves it out.

        Raises:
            ValueError: it is none.
        """
        try:
            return cls(
                (first, last, Node(_host(primary[0], asked), int(primary[1])))
                for first, last, primary, *_ in reply
            )
        except (TypeError, ValueError, IndexError, AttributeError) as error:
            raise ValueError("unable to read the answer to CLUSTER SLOTS") from error

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SlotMap) and self._ranges == other._ranges

    __hash__ = None  # type: ignore[assignment]

    def node_of(self, slot: int) -> Node | None:
        """Return the node of a slot; None if nobody serves it."""
        place = bisect_right(self._firsts, slot) - 1
        if place < 0:
            return None
        _, last, node = self._ranges[place]
        return node if slot <= last else None

    def node_for(self, key: bytes) -> Node | None:
        """Return the node of a key; None if nobody serves it. Asked thrice for each append."""
        try:
            return self._by_key[key]
        except KeyError:
            if len(self._by_key) >= CACHED_SLOTS:
                self._by_key.clear()
            node = self._by_key[key] = self.node_of(slot_of(key))
            return node

    @property
    def nodes(self) -> frozenset[Node]:
        """The primaries."""
        return frozenset(node for _, _, node in self._ranges)

    @property
    def is_whole(self) -> bool:
        """Whether each slot has a node."""
        return sum(last - first + 1 for first, last, _ in self._ranges) == SLOTS

    def moved(self, slot: int, node: Node) -> SlotMap:
        """Return the map after a slot was moved to another node."""
        ranges: list[tuple[int, int, Node]] = [(slot, slot, node)]
        for first, last, owner in self._ranges:
            if not first <= slot <= last:
                ranges.append((first, last, owner))
                continue
            if first < slot:
                ranges.append((first, slot - 1, owner))
            if slot < last:
                ranges.append((slot + 1, last, owner))
        return SlotMap(ranges)


def _host(said: bytes | str | None, asked: Node) -> str:
    host = said.decode() if isinstance(said, bytes) else said
    return host if host and host != "?" else asked.host
