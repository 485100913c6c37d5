"""A cluster in memory, with Redis's rules of who answers what, and faults at every command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from redis._parsers.base import BaseParser

from midstream.errors import StoreUnavailableError
from midstream.store.cluster.slots import SLOTS, Node, slot_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from midstream.store.cluster.answers import Reply
    from midstream.store.scripts.script import Command

NODES: Final = tuple(Node("10.0.0.1", port) for port in (7001, 7002, 7003))
SHA: Final = "sha"
SOURCE: Final = "source"


class Fault(NamedTuple):
    """What happens just before a node takes a command.

    Attributes:
        kind: of the fault; see `ModelCluster._happen`.
        key: of whose slot.
        node: number of the node that it concerns.
    """

    kind: str
    key: int
    node: int


KINDS: Final = (
    *("nothing", "move", "migrate", "finish", "forget", "cut before", "cut after"),
    *("down", "up", "demote", "busy"),
)


def key_of(number: int) -> bytes:
    """Return the key of a number; each has a slot of its own."""
    return b"{%d}" % number


def command(key: int, name: str) -> Command:
    """Return a command that notes its name under a key."""
    return ("EVALSHA", SHA, 1, key_of(key), name)


def refusal(text: str) -> Exception:
    """Return a refusal as redis-py reads it from the wire."""
    error: Exception = BaseParser.parse_error(text)  # type: ignore[no-untyped-call]
    return error


class ModelCluster:
    """Implements `Nodes`.

    Attributes:
        applied: names of the commands that were applied, in order.
        sends: how many round trips were made.
        cut: names that were on a connection that was lost.
    """

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self.applied: list[str] = []
        self.sends = 0
        self.cut: set[str] = set()
        self._faults = iter(faults)
        self._moved: dict[int, Node] = {}
        self._importing: dict[int, Node] = {}
        self._here: set[bytes] = set()
        self._down: set[int] = set()
        self._scripts: set[Node] = set()
        self._demoted: dict[Node, int] = {}
        self._busy = 0

    def owner(self, slot: int) -> Node:
        """Return who serves a slot."""
        return self._moved.get(slot, NODES[slot * len(NODES) // SLOTS])

    async def send(self, node: Node, commands: Sequence[Command]) -> list[Reply]:
        """Meaning as a node does; a fault may come before each command."""
        self.sends += 1
        replies: list[Reply] = []
        asking = False
        for each in commands:
            fault = next(self._faults, Fault("nothing", 0, 0))
            self._happen(fault)
            if fault.kind == "cut before":
                self._lose(commands)
            reply = self._answer(node, each, asking=asking)
            if fault.kind == "cut after":
                self._lose(commands)
            asking = each[0] == "ASKING"
            replies.append(reply)
        return replies

    def _lose(self, commands: Sequence[Command]) -> None:
        self.cut |= {str(each[4]) for each in commands if each[0] == "EVALSHA"}
        raise StoreUnavailableError("lost")

    def _happen(self, fault: Fault) -> None:
        slot, node = slot_of(key_of(fault.key)), NODES[fault.node]
        match fault.kind:
            case "move":
                self._moved[slot] = node
                self._importing.pop(slot, None)
            case "migrate" if node != self.owner(slot):
                self._importing[slot] = node
                self._here.discard(key_of(fault.key))
            case "finish" if slot in self._importing:
                self._moved[slot] = self._importing.pop(slot)
            case "forget":
                self._scripts.discard(node)
            case "down":
                self._down.add(slot)
            case "up":
                self._down.discard(slot)
            case "demote":
                self._demoted[node] = 2
            case "busy":
                self._busy = 2
            case _:
                pass

    def _answer(self, node: Node, said: Command, *, asking: bool) -> Reply:
        match said:
            case ("CLUSTER", "SLOTS"):
                return [
                    [slot, slot, [b"", owner.port]] if owner.host == node.host else []
                    for slot, owner in self._all()
                ]
            case ("SCRIPT", "LOAD", _):
                self._scripts.add(node)
                return SHA
            case ("ASKING",):
                return b"OK"
            case _:
                return self._run(node, said, asking=asking)

    def _all(self) -> list[tuple[int, Node]]:
        """Return the slots of interest with their owners: all would take long."""
        slots = {slot_of(key_of(key)) for key in range(8)}
        return [(slot, self.owner(slot)) for slot in sorted(slots - self._down)]

    def _run(self, node: Node, said: Command, *, asking: bool) -> Reply:
        """Meaning in the order in which Redis looks at a command."""
        key, name = said[3], str(said[4])
        assert isinstance(key, bytes)
        slot = slot_of(key)
        owner, importing = self.owner(slot), self._importing.get(slot)
        if slot in self._down:
            return refusal("CLUSTERDOWN Hash slot not served")
        if node == importing and asking:
            if self._busy:
                self._busy -= 1
                return refusal("TRYAGAIN Multiple keys request during rehashing of slot")
        elif node != owner:
            return refusal(f"MOVED {slot} {owner.host}:{owner.port}")
        elif importing is not None and key not in self._here:
            if self._busy:
                self._busy -= 1
                return refusal("TRYAGAIN Multiple keys request during rehashing of slot")
            return refusal(f"ASK {slot} :{importing.port}")
        if self._demoted.get(node):
            self._demoted[node] -= 1
            return refusal("READONLY You can't write against a read only replica.")
        if node not in self._scripts:
            return refusal("NOSCRIPT No matching script. Please use EVAL.")
        self.applied.append(name)
        return name
