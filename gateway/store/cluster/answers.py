"""What a node's answer to a command asks for: one rule for each word. No I/O."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct
from redis.exceptions import NoScriptError

from midstream.store.cluster.slots import Node
from midstream.store.errors import word_of

if TYPE_CHECKING:
    from collections.abc import Mapping

Reply = Any


class Step(StrEnum):
    """What is to be done with a command."""

    DONE = "done"
    """The answer is its outcome: a reply, or a refusal that is none of the cluster's."""
    GO = "go"
    """Send it to the node that is named, which serves the slot from now on."""
    ASK = "ask"
    """Send it to the node that is named, this once, behind ASKING."""
    WAIT = "wait"
    """Wait, and send it again to whom the map names."""
    LOOK = "look"
    """Wait, read the map anew, and send it again."""
    LOAD = "load"
    """Load its script on the same node, and send it again in the same way."""


class Meaning(Struct, frozen=True):
    """The meaning of one answer. `slot`, `node`: of GO and ASK."""

    step: Step
    slot: int = -1
    node: Node | None = None


_DONE: Final = Meaning(Step.DONE)

_BY_WORD: Final[Mapping[str, Meaning]] = {
    # Keys of the command are on both nodes, or on neither yet: it works when the slot has moved.
    "TRYAGAIN": Meaning(Step.WAIT),
    # The slot has no node until a replica takes over.
    "CLUSTERDOWN": Meaning(Step.LOOK),
    # The node was demoted: it is a replica now.
    "READONLY": Meaning(Step.LOOK),
    "MASTERDOWN": Meaning(Step.LOOK),
}


def meaning_of(reply: Reply, asked: Node) -> Meaning:
    """Return what an answer asks for. Nothing was applied unless it is DONE.

    Args:
        asked: who has answered; a redirection without a host means the same host.
    """
    if not isinstance(reply, Exception):
        return _DONE
    if isinstance(reply, NoScriptError):
        return Meaning(Step.LOAD)
    word = word_of(reply)
    if word in ("MOVED", "ASK"):
        return _redirection(Step.GO if word == "MOVED" else Step.ASK, reply, asked)
    return _BY_WORD.get(word or "", _DONE)


def _redirection(step: Step, reply: Exception, asked: Node) -> Meaning:
    """Read `MOVED 3999 127.0.0.1:6381`; redis-py cuts the word off, or has the parts."""
    words = str(reply).split()
    try:
        slot, address = int(words[-2]), words[-1]
        host, _, port = address.rpartition(":")
        return Meaning(step, slot, Node(host.strip("[]") or asked.host, int(port)))
    except (IndexError, ValueError):
        return Meaning(Step.LOOK)
