"""A model of a session's tree of messages, from the documentation; and a client of its feed."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from midstream.protocol.position import Position
    from midstream.sessions.types import FeedEvent


@dataclass
class Node:
    """A message. `unasked`: the one that it followed was deleted."""

    parent: str | None
    text: str
    by_person: bool
    order: int
    unasked: bool = False


@dataclass
class Tree:
    """The messages that are there, the last one of the path that is shown, and what was deleted."""

    nodes: dict[str, Node] = field(default_factory=dict)
    head: str | None = None
    deleted: set[str] = field(default_factory=set)
    orders: count[int] = field(default_factory=count)

    # -- what is shown ----------------------------------------------------------------------

    def path(self, leaf: str | None) -> list[str]:
        """Return the messages from the first to this one."""
        found: list[str] = []
        while leaf is not None:
            found.insert(0, leaf)
            leaf = self.nodes[leaf].parent
        return found

    @property
    def shown(self) -> list[str]:
        return self.path(self.head)

    def children(self, parent: str | None) -> list[str]:
        """Return the messages that follow one, oldest first."""
        found = [name for name, node in self.nodes.items() if node.parent == parent]
        return sorted(found, key=lambda name: self.nodes[name].order)

    def versions(self) -> dict[str, list[str]]:
        """Return, of each message that is shown and has others in its place, all of them."""
        places = {name: self.children(self.nodes[name].parent) for name in self.shown}
        return {name: ids for name, ids in places.items() if len(ids) > 1}

    def prompt(self, leaf: str | None) -> list[str]:
        """Return what a model reads: no answer that is empty, or whose question was deleted."""
        nodes = [self.nodes[name] for name in self.path(leaf)]
        return [node.text for node in nodes if node.by_person or (node.text and not node.unasked)]

    # -- what changes it --------------------------------------------------------------------

    def ask(self, name: str, text: str, parent: str | None) -> None:
        self.nodes[name] = Node(parent, text, by_person=True, order=next(self.orders))
        self.head = name

    def answer(self, name: str, text: str, question: str) -> None:
        self.nodes[name] = Node(question, text, by_person=False, order=next(self.orders))
        self.head = name

    def edit(self, name: str, text: str, kept: str) -> None:
        """Edit a message that keeps its id: what it said is `kept`, with all that followed it."""
        old = self.nodes[name]
        for child in self.children(name):
            self.nodes[child].parent = kept
        self.nodes[kept] = old
        self.ask(name, text, old.parent)

    def question_of(self, name: str | None) -> str | None:
        """Return the newest message of a person up to this one."""
        asked = [each for each in self.path(name) if self.nodes[each].by_person]
        return asked[-1] if asked else None

    def delete(self, name: str) -> None:
        node = self.nodes[name]
        for child in self.children(name):
            self.nodes[child].parent = node.parent
            self.nodes[child].unasked = True
        del self.nodes[name]
        self.deleted.add(name)
        if self.head == name:
            self.head = node.parent

    def select(self, name: str) -> None:
        """Show the newest message below, unless this one is shown."""
        if name not in self.shown:
            leaves = [each for each in self.nodes if not self.children(each)]
            below = [leaf for leaf in leaves if name in self.path(leaf)]
            self.head = max(below, key=lambda leaf: self.nodes[leaf].order)


class Client:
    """What a tab shows, as the feed alone tells it: the path, and the versions of each place."""

    def __init__(self, look: Callable[[], Awaitable[Any]]) -> None:
        self.path: list[str] = []
        self.snapshots = 0
        self._look = look
        self._at: tuple[int, int] = (0, 0)
        self._places: dict[str | None, list[str]] = {}

    async def take(self, event: FeedEvent) -> None:
        """Take an event, in its order; look at the session if it does not fit."""
        data: Any = msgspec.json.decode(event.data)
        at = _order(event.position)
        if event.event == "snapshot":
            self._load(data)
        elif at > self._at and not self._apply(event.event, data):
            self._load(await self._look())
        self._at = max(self._at, at)

    def _apply(self, event: str, data: Any) -> bool:
        if event == "message":
            name, parent = data["message"]["id"], data["parentId"]
            if parent is not None and parent not in self.path:
                return False
            place = self._places.setdefault(parent, [])
            if name not in place:
                place.append(name)
            self.path = [*self._until(parent), name]
        elif event == "run" and data["state"] != "ended" and data["userMessageId"] in self.path:
            self.path = self._until(data["userMessageId"])
        return True

    def _load(self, snapshot: Any) -> None:
        self.snapshots += 1
        self._at = _offset(snapshot["offset"])
        self.path, self._places = [], {}
        for message in snapshot["messages"]:
            versions = snapshot["branches"].get(message["id"], {"ids": [message["id"]]})
            self._places[self.path[-1] if self.path else None] = versions["ids"]
            self.path.append(message["id"])
        self._places[self.path[-1] if self.path else None] = snapshot.get("following", [])

    def _until(self, name: str | None) -> list[str]:
        return [] if name is None else self.path[: self.path.index(name) + 1]

    def shows(self, path: list[str], versions: dict[str, list[str]]) -> bool:
        """Whether it shows this path, with these versions of its messages."""
        return self.path == path and self.versions() == versions

    def versions(self) -> dict[str, list[str]]:
        """As of a tree."""
        parents = [None, *self.path[:-1]]
        places = {
            name: self._places[parent]
            for name, parent in zip(self.path, parents[: len(self.path)], strict=True)
        }
        return {name: ids for name, ids in places.items() if len(ids) > 1}


def _order(position: Position | None) -> tuple[int, int]:
    return (0, 0) if position is None else _offset(position.offset)


def _offset(offset: str) -> tuple[int, int]:
    milliseconds, _, sequence = offset.partition("-")
    return int(milliseconds or 0), int(sequence or 0)
