"""One outcome a command, over whatever a cluster answers."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from midstream.errors import StoreUnavailableError
from midstream.store.cluster.router import AT_ONCE, Router
from midstream.store.cluster.topology import Topology

from .model import KINDS, NODES, SOURCE, Fault, ModelCluster, command, refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

    from midstream.store.cluster.answers import Reply
    from midstream.store.cluster.slots import Node
    from midstream.store.scripts.script import Command

KEYS = 8
LIMIT_S = 5.0


class Clock:
    """Time that passes by pauses alone."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.pauses = 0

    def now(self) -> float:
        return self.now_s

    async def pause(self, seconds: float) -> None:
        self.now_s += seconds
        self.pauses += 1
        await asyncio.sleep(0)


def routed(cluster: ModelCluster, clock: Clock, commands: Sequence[Command]) -> list[Reply]:
    """Run commands over a model."""

    async def run() -> list[Reply]:
        topology = Topology(NODES[:1], cluster, now=clock.now)
        router = Router(
            topology, cluster, lambda _: [SOURCE], limit_s=LIMIT_S, now=clock.now, pause=clock.pause
        )
        outcomes = await router.run_each(commands)
        await topology.aclose()
        return outcomes

    return asyncio.run(run())


def named(keys: Sequence[int]) -> list[Command]:
    """Return a command for each key, each with a name of its own."""
    return [command(key, f"c{place}") for place, key in enumerate(keys)]


FAULTS = st.lists(
    st.builds(
        Fault,
        st.sampled_from(KINDS),
        st.integers(0, KEYS - 1),
        st.integers(0, len(NODES) - 1),
    ),
    max_size=60,
)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.integers(0, KEYS - 1), min_size=1, max_size=12), FAULTS)
def test_each_command_has_one_outcome_that_is_true(keys: list[int], faults: list[Fault]) -> None:
    """A reply: applied once. A refusal: not at all. Unknown: its connection was lost."""
    cluster, clock = ModelCluster(faults), Clock()
    outcomes = routed(cluster, clock, named(keys))

    assert len(outcomes) == len(keys)
    times = Counter(cluster.applied)
    for place, outcome in enumerate(outcomes):
        name = f"c{place}"
        if isinstance(outcome, StoreUnavailableError):
            assert name in cluster.cut or clock.now_s >= LIMIT_S
            assert times[name] <= 1
        elif isinstance(outcome, Exception):
            assert clock.now_s >= LIMIT_S
            assert times[name] == 0
        else:
            assert outcome == name
            assert times[name] == 1
    assert not times.keys() - {f"c{place}" for place in range(len(keys))}


HARMLESS = st.sampled_from(["nothing", "move", "migrate", "finish", "forget", "demote", "busy"])


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.integers(0, KEYS - 1), min_size=1, max_size=12),
    st.lists(
        st.builds(Fault, HARMLESS, st.integers(0, KEYS - 1), st.integers(0, len(NODES) - 1)),
        max_size=60,
    ),
)
def test_without_a_loss_every_command_is_applied_once(keys: list[int], faults: list[Fault]) -> None:
    """Slots that move, forgotten scripts and demotions only delay it, and the work is bounded."""
    cluster, clock = ModelCluster(faults), Clock()
    outcomes = routed(cluster, clock, named(keys))

    assert outcomes == [f"c{place}" for place in range(len(keys))]
    assert sorted(cluster.applied) == sorted(outcomes)
    assert cluster.sends <= 8 * (len(keys) + len(faults) + 1)


def test_loss_of_one_node_is_no_outcome_of_another(subtests: pytest.Subtests) -> None:
    """All that was on the lost connection is unknown, and nothing else is."""
    keys = list(range(KEYS))
    for lost in NODES:
        with subtests.test(str(lost)):
            cluster = OneIsLost(lost)
            outcomes = routed(cluster, Clock(), named(keys))
            unknown = {
                f"c{place}"
                for place, outcome in enumerate(outcomes)
                if isinstance(outcome, StoreUnavailableError)
            }
            assert unknown == cluster.cut
            assert set(cluster.applied) == {f"c{place}" for place in keys} - unknown


class OneIsLost(ModelCluster):
    """A cluster of which one node is away."""

    def __init__(self, lost: Node) -> None:
        super().__init__()
        self._lost = lost

    async def send(self, node: Node, commands: Sequence[Command]) -> list[Reply]:
        if node == self._lost and commands[0][0] == "EVALSHA":
            self._lose(commands)
        return await super().send(node, commands)


def test_nodes_that_name_each_other_are_not_asked_without_a_pause() -> None:
    """They may for a moment; a loop without an end would be a load."""

    class Contradicting(ModelCluster):
        async def send(self, node: Node, commands: Sequence[Command]) -> list[Reply]:
            replies = await super().send(node, commands)
            slot = 3999
            other = NODES[0] if node == NODES[1] else NODES[1]
            return [
                refusal(f"MOVED {slot} {other}") if said[0] == "EVALSHA" else reply
                for said, reply in zip(commands, replies, strict=True)
            ]

    cluster, clock = Contradicting(), Clock()
    (outcome,) = routed(cluster, clock, [command(0, "c0")])
    assert isinstance(outcome, Exception)
    assert clock.now_s >= LIMIT_S
    assert cluster.sends <= AT_ONCE + clock.pauses + 5


def test_slot_that_nobody_serves_is_waited_for_and_given_up(subtests: pytest.Subtests) -> None:
    """Until a replica has taken over, or the time is over; commands of others do not wait."""
    down = Fault("down", 0, 0)
    up = [Fault("nothing", 0, 0)] * 10 + [Fault("up", 0, 0)]
    with subtests.test("served again"):
        assert routed(ModelCluster([down, *up]), Clock(), named([0, 1])) == ["c0", "c1"]
    with subtests.test("given up"):
        first, second = routed(ModelCluster([down]), Clock(), named([0, 1]))
        assert isinstance(first, Exception)
        assert second == "c1"
