"""Sends commands to the nodes that serve them: one outcome a command, whatever becomes of others.

A command that was redirected, or refused because its slot moves, was not applied: it is sent again,
until `limit_s` has passed. One whose connection was lost is not: it may have been applied. Its
outcome is unknown, and whoever wants it sends it again.

    MOVED         the map is corrected; sent again at once to the new node
    ASK           sent once to the other node, behind ASKING; the map stays
    TRYAGAIN      sent again after a pause, to whom the map names
    CLUSTERDOWN,  the map is read anew; sent again after a pause
      READONLY
    NOSCRIPT      its script is loaded on that node; sent again in the same way
    loss          outcome unknown; the map is read anew
"""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from midstream.errors import StoreUnavailableError
from midstream.store.cluster.answers import Meaning, Reply, Step, meaning_of
from midstream.store.cluster.slots import Node, slot_of_command
from midstream.store.errors import unavailable
from midstream.store.scripts.script import Command

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from midstream.store.cluster.topology import Nodes, Topology

FIRST_PAUSE_S: Final = 0.005
LAST_PAUSE_S: Final = 0.25
"""Between two sends of a command that must wait; a failover takes seconds."""
AT_ONCE: Final = 5
"""Redirections that are followed without a pause: nodes may contradict each other for a while."""

ASKING: Final[Command] = ("ASKING",)


class _Sent(Struct):
    """A command on its way to an outcome.

    Attributes:
        ask: the node to send it to behind ASKING, this once.
        redirected: how often it was.
        waits: how often it has to wait, or had to.
        refusal: the latest one, which is its outcome when the time is over.
    """

    command: Command
    slot: int | None
    ask: Node | None = None
    redirected: int = 0
    waits: int = 0
    has_outcome: bool = False
    outcome: Reply = None
    refusal: Exception | None = None

    def end(self, outcome: Reply) -> None:
        """Take the outcome."""
        self.has_outcome, self.outcome = True, outcome


class Router:
    """Routes commands by a topology.

    Args:
        sources: returns the sources of the scripts that commands call.
        limit_s: how long a command is sent again. A round trip that was begun in it may end later.
        now, pause: time in seconds, and what waits for some.
    """

    def __init__(
        self,
        topology: Topology,
        nodes: Nodes,
        sources: Callable[[Iterable[Command]], Iterable[str]],
        *,
        limit_s: float = 5.0,
        now: Callable[[], float] = time.monotonic,
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._topology = topology
        self._nodes = nodes
        self._sources = sources
        self._limit_s = limit_s
        self._now = now
        self._pause = pause

    async def run_each(
        self, commands: Sequence[Command], *, limit_s: float | None = None
    ) -> list[Reply]:
        """Run independent commands; return an outcome for each, in their order.

        An outcome is a reply, a refusal as redis-py has it, or a StoreUnavailableError: the command
        may have been applied, or not. Commands are sent in their order, but one that is sent again
        may be applied after a later one.

        Args:
            limit_s: another limit than the usual one.
        """
        sent = [_Sent(command, slot_of_command(command)) for command in commands]
        deadline = self._now() + (self._limit_s if limit_s is None else limit_s)
        if not self._topology.nodes:
            await self._topology.refresh()
        # Each node's commands go their own way: those of one that is away delay no others' resend.
        await asyncio.gather(
            *(self._drive(batch, deadline) for batch in self._by_node(sent).values())
        )
        return [each.outcome for each in sent]

    def _by_node(self, sent: Iterable[_Sent]) -> dict[Node | None, list[_Sent]]:
        """Group commands by the node to send them to; None: nobody serves their slot."""
        grouped: dict[Node | None, list[_Sent]] = {}
        for each in sent:
            node = each.ask or self._topology.node_of(each.slot)
            grouped.setdefault(node, []).append(each)
        return grouped

    async def _drive(self, sent: list[_Sent], deadline: float) -> None:
        """Send commands until each has an outcome."""
        while True:
            steps = await asyncio.gather(
                *(self._send(node, batch) for node, batch in self._by_node(sent).items())
            )
            look = any(Step.LOOK in found for found in steps)
            sent = [each for each in sent if not each.has_outcome]
            if not sent:
                if look:  # whoever comes next finds a new map
                    self._topology.refresh_soon()
                return
            left_s = deadline - self._now()
            if left_s <= 0:
                for each in sent:
                    each.end(each.refusal or unavailable())
                return
            if look:
                await self._look(left_s)
            await self._wait(sent, deadline)

    async def _look(self, limit_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self._topology.refresh()

    async def _wait(self, sent: list[_Sent], deadline: float) -> None:
        """Pause for as long as the command that has waited least has to."""
        waits = min(each.waits for each in sent)
        if waits == 0:
            return
        longest_s = min(LAST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(waits - 1, 10))
        left_s = max(0.0, deadline - self._now())
        await self._pause(min(left_s, longest_s * random.uniform(0.5, 1)))  # noqa: S311 - no secret

    async def _send(self, node: Node | None, batch: list[_Sent]) -> set[Step]:
        """Send commands to one node; take what its answers mean, and return the steps."""
        if node is None:
            for each in batch:
                each.waits += 1
            return {Step.LOOK}
        answers = await self._answers(node, batch)
        unknown = [each for each, answer in answers if answer.step is Step.LOAD]
        if unknown:
            answers = [pair for pair in answers if pair[1].step is not Step.LOAD]
            answers += await self._load(node, unknown)
        for each, answer in answers:
            self._take(each, answer)
        return {answer.step for _, answer in answers}

    async def _answers(self, node: Node, batch: list[_Sent]) -> list[tuple[_Sent, Meaning]]:
        """Send commands over one connection, each behind ASKING if it needs it.

        One whose connection is lost has its outcome, and asks for a look at the map.
        """
        wire: list[Command] = []
        places: list[int] = []
        for each in batch:
            if each.ask is not None:
                wire.append(ASKING)
            places.append(len(wire))
            wire.append(each.command)
        try:
            replies = await self._nodes.send(node, wire)
        except StoreUnavailableError as lost:
            for each in batch:
                each.end(lost)
            return [(each, Meaning(Step.LOOK)) for each in batch]
        answers = []
        for each, place in zip(batch, places, strict=True):
            answer = meaning_of(replies[place], node)
            if answer.step is Step.DONE:
                each.end(replies[place])
            else:
                each.refusal = replies[place]
            answers.append((each, answer))
        return answers

    async def _load(self, node: Node, unknown: list[_Sent]) -> list[tuple[_Sent, Meaning]]:
        """Load scripts on a node that lacks them, and send their commands again in the same way."""
        sources = self._sources(each.command for each in unknown)
        with suppress(StoreUnavailableError):  # nothing was applied, and the next send tells
            await self._nodes.send(node, [("SCRIPT", "LOAD", source) for source in sources])
        return await self._answers(node, unknown)

    def _take(self, each: _Sent, answer: Meaning) -> None:
        """Note where, and when, a command is to be sent next."""
        each.ask = None
        if each.has_outcome:
            return
        if answer.node is None:
            each.waits += 1
            return
        if answer.step is Step.GO:
            self._topology.moved(answer.slot, answer.node)
        else:
            each.ask = answer.node
        each.redirected += 1
        if each.redirected > AT_ONCE:
            each.waits += 1
