"""The map of a cluster: read, corrected, and read anew once at a time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from midstream.errors import StoreUnavailableError
from midstream.settings.redis_url import ClusterUrl, parse_redis_url
from midstream.store.cluster.answers import Meaning, Step, meaning_of
from midstream.store.cluster.client import ClusterClient
from midstream.store.cluster.slots import CACHED_SLOTS, SLOTS, Node, SlotMap, slot_of_command
from midstream.store.cluster.topology import EVERY_S, Topology
from midstream.store.server.settings import StoreSettings

from .model import refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midstream.store.scripts.script import Command

pytestmark = pytest.mark.anyio

A, B, C = (Node("10.0.0.1", port) for port in (7001, 7002, 7003))
WHOLE = [(0, 5_460, A), (5_461, 10_922, B), (10_923, SLOTS - 1, C)]


def reply(*ranges: tuple[int, int, Node]) -> list[Any]:
    """Return what CLUSTER SLOTS answers, each with a replica."""
    replica = [b"10.0.0.9", 7009, b"id"]
    return [
        [first, last, [node.host.encode(), node.port, b"id"], replica]
        for first, last, node in ranges
    ]


def test_map_names_the_primary_of_each_slot() -> None:
    slots = SlotMap.read(reply(*WHOLE), A)
    assert [slots.node_of(slot) for slot in (0, 5_460, 5_461, SLOTS - 1)] == [A, A, B, C]
    assert slots.nodes == {A, B, C}
    assert slots.is_whole
    assert not SlotMap(WHOLE[1:]).is_whole
    assert SlotMap(WHOLE[1:]).node_of(7) is None
    assert SlotMap().node_of(7) is None


def test_node_that_does_not_say_its_host_is_where_it_was_asked() -> None:
    for host in (b"", None, b"?"):
        slots = SlotMap.read([[0, 1, [host, 7001, b"id"]]], Node("public", 1))
        assert slots.node_of(0) == Node("public", 7001)
    with pytest.raises(ValueError, match="CLUSTER SLOTS"):
        SlotMap.read([[0, 1]], A)


@given(
    st.lists(st.tuples(st.integers(0, SLOTS - 1), st.sampled_from([A, B, C])), max_size=20),
    st.integers(0, SLOTS - 1),
)
def test_moved_slots_are_moved_and_no_others(moves: list[tuple[int, Node]], seen: int) -> None:
    slots, expected = SlotMap(WHOLE), {}
    for slot, node in moves:
        slots = slots.moved(slot, node)
        expected[slot] = node
    assert slots.is_whole
    assert all(slots.node_of(slot) == node for slot, node in expected.items())
    if seen not in expected:
        assert slots.node_of(seen) == SlotMap(WHOLE).node_of(seen)


def test_slot_of_a_command_is_that_of_its_first_key(subtests: pytest.Subtests) -> None:
    """By its hash tag: a session's names share one."""
    rows: list[tuple[Command, str | None]] = [
        (("EVALSHA", "sha", 2, b"ms:{a}:meta", b"ms:{a}:log", "x"), "a"),
        (("EVALSHA", "sha", 0), None),
        (("XRANGE", b"ms:{a}:log", "-", "+"), "a"),
        (("MEMORY", "USAGE", b"ms:{a}:log"), "a"),
        (("PING",), None),
        (("SCRIPT", "LOAD", "x"), None),
    ]
    for command, key in rows:
        with subtests.test(str(command)):
            same = None if key is None else slot_of_command(("GET", key))
            assert slot_of_command(command) == same


def test_each_answer_of_a_cluster_has_one_meaning(subtests: pytest.Subtests) -> None:
    """As redis-py reads it from the wire; what is not the cluster's is the outcome."""
    rows = [
        ("MOVED 3999 10.0.0.1:7002", Meaning(Step.GO, 3999, B)),
        ("MOVED 3999 :7002", Meaning(Step.GO, 3999, B)),
        ("MOVED 3999 [::1]:7002", Meaning(Step.GO, 3999, Node("::1", 7002))),
        ("ASK 3999 10.0.0.1:7002", Meaning(Step.ASK, 3999, B)),
        ("TRYAGAIN Multiple keys request", Meaning(Step.WAIT)),
        ("CLUSTERDOWN Hash slot not served", Meaning(Step.LOOK)),
        ("READONLY You can't write", Meaning(Step.LOOK)),
        ("MASTERDOWN Link with MASTER is down", Meaning(Step.LOOK)),
        ("NOSCRIPT No matching script.", Meaning(Step.LOAD)),
        ("WRONGTYPE Operation", Meaning(Step.DONE)),
        ("NOREPLICAS Not enough good replicas", Meaning(Step.DONE)),
        ("ERR unknown command", Meaning(Step.DONE)),
    ]
    for said, meaning in rows:
        with subtests.test(said):
            assert meaning_of(refusal(said), A) == meaning
    assert meaning_of(b"OK", A).step is Step.DONE


class Asked:
    """Nodes that answer CLUSTER SLOTS, or are away; counts who was asked."""

    def __init__(self, answers: dict[Node, list[Any] | None]) -> None:
        self.answers = answers
        self.asked: list[Node] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def send(self, node: Node, commands: Sequence[Command]) -> list[Any]:
        assert list(commands) == [("CLUSTER", "SLOTS")]
        self.asked.append(node)
        await self.gate.wait()
        answer = self.answers[node]
        if answer is None:
            raise StoreUnavailableError("away")
        return [answer]


async def test_refresh_asks_nodes_until_one_answers() -> None:
    """The known ones, and the URL's when none of those is left."""
    nodes = Asked({A: reply(*WHOLE), B: None, C: None})
    topology = Topology([A], nodes)
    await topology.refresh()
    assert topology.node_of(0) == A
    assert topology.generation == 1
    assert topology.node_of(None) in {A, B, C}


async def test_one_refresh_runs_whoever_asks_for_it_and_not_at_once_again() -> None:
    """A failover makes every command ask; one who stops waiting stops it for nobody else."""
    seconds = 0.0
    nodes = Asked({A: reply(*WHOLE)})
    nodes.gate.clear()
    topology = Topology([A], nodes, now=lambda: seconds)
    waiting = [asyncio.create_task(topology.refresh()) for _ in range(20)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    nodes.gate.set()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert nodes.asked == [A]
    assert topology.generation == 1

    await topology.refresh()
    assert nodes.asked == [A]
    seconds += EVERY_S
    nodes.answers.update({B: reply(*WHOLE), C: reply(*WHOLE)})
    await topology.refresh()
    assert topology.generation == 2


async def test_map_stays_when_no_node_answers() -> None:
    nodes = Asked({A: reply(*WHOLE), B: None, C: None})
    seconds = 0.0
    topology = Topology([A], nodes, now=lambda: seconds)
    await topology.refresh()
    topology.moved(7, C)
    nodes.answers[A] = None
    seconds += 1
    await topology.refresh()
    assert topology.node_of(7) == C
    assert topology.node_of(8) == A
    assert topology.generation == 1


def test_node_of_a_key_is_that_of_its_slot_however_many_keys_were_asked_for() -> None:
    """What is kept of a map is bounded, and no part of another one."""
    slots = SlotMap(WHOLE)
    keys = [b"key-%d" % number for number in range(CACHED_SLOTS + 10)]
    for _ in range(2):
        assert all(slots.node_for(key) == slots.node_of(key_slot(key)) for key in keys)
    other = Node("10.0.0.9", 9)
    moved = slots.moved(key_slot(keys[0]), other)
    assert moved.node_for(keys[0]) == other
    assert slots.node_for(keys[0]) != other


async def test_keys_are_served_by_one_node_or_by_none(subtests: pytest.Subtests) -> None:
    url = parse_redis_url("redis+cluster://a:1")
    assert isinstance(url, ClusterUrl)
    client = ClusterClient(url, StoreSettings(sharded=True))
    for keys, serves in ((["{a}1", "{a}2"], True), (["{a}1", "{b}1"], False), ([], False)):
        client.topology.moved(key_slot(b"a"), Node("a", 1))
        client.topology.moved(key_slot(b"b"), Node("b", 1))
        with subtests.test(str(keys)):
            server = client.serving([key.encode() for key in keys])
            assert (server is not None) is serves
            assert server is None or server.name == "a:1"
    assert client.serving([b"nobody has it"]) is None
    await client.aclose()
