"""A real cluster of three primaries with a replica each, whose nodes and slots a test can move."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Any, Final

from redis.crc import key_slot

from tests.support.processes import free_port, wait_until
from tests.support.redis_server import RedisServer

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.redis_kinds import Kind
    from tests.support.tls_doors import TlsDoors

PRIMARIES: Final = 3
SLOTS: Final = 16_384
NODE_TIMEOUT_MS: Final = 3_000
"""A dead primary is noticed after it, and replaced about a second later; one that a busy machine
keeps waiting for a second is not."""
UP_LIMIT_S: Final = 60.0
FAILOVER_S: Final = 6.0
"""A planned failover that has not happened after five seconds is given up by its replica."""


class ClusterNode(RedisServer):
    """One node, on a fixed port. Its files outlive a kill."""

    def __init__(self, folder: Path, kind: Kind, doors: TlsDoors | None = None) -> None:
        folder.mkdir()
        super().__init__(folder, program=kind.program, doors=doors)
        self.bus_port = free_port()

    def options(self) -> list[str]:
        """See RedisServer."""
        return [
            *("--appendonly", "yes", "--save", "", "--cluster-enabled", "yes"),
            *("--cluster-port", str(self.bus_port)),
            *("--cluster-announce-port", str(self.port)),
            *("--cluster-node-timeout", str(NODE_TIMEOUT_MS)),
            *("--cluster-require-full-coverage", "no"),
            # Otherwise a replica is empty for five seconds, also when it is promoted.
            *("--repl-diskless-sync-delay", "0"),
            # CLUSTER SLOTS leaves out a replica until the primary has written, or pinged it.
            *("--repl-ping-replica-period", "1"),
        ]

    def do(self, *command: str | int | bytes) -> Any:
        """Run a command."""
        return self.client.execute_command(*command)  # type: ignore[no-untyped-call]

    @property
    def id(self) -> str:
        """The node's name in the cluster."""
        return str(self.do("CLUSTER", "MYID").decode())

    def info(self, name: str) -> object:
        """Return a field of INFO."""
        return self.client.info().get(name)

    def cluster_info(self) -> dict[str, str]:
        """Return the fields of CLUSTER INFO."""
        reply: Any = self.do("CLUSTER", "INFO")
        fields = reply if isinstance(reply, dict) else _fields(reply)
        return {str(name): str(value) for name, value in fields.items()}


def _fields(reply: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in reply.decode().splitlines())
    return {name: value for name, _, value in lines}


class RedisCluster:
    """Three primaries, each with a third of the slots, and a replica each; up when made.

    Args:
        replicas: of each primary; 1 or 0.
        doors: before all nodes.

    Attributes:
        nodes: the primaries first, then their replicas in the same order, as they were at first.
    """

    def __init__(
        self, folder: Path, kind: Kind, *, replicas: int = 1, doors: TlsDoors | None = None
    ) -> None:
        count = PRIMARIES * (1 + replicas)
        self.nodes = [ClusterNode(folder / f"node-{i}", kind, doors) for i in range(count)]
        try:
            for node in self.nodes:
                node.start()
            self._join()
        except BaseException:
            self.end()
            raise

    def _join(self) -> None:
        primaries, replicas = self.nodes[:PRIMARIES], self.nodes[PRIMARIES:]
        for i, node in enumerate(primaries):
            first, after = SLOTS * i // PRIMARIES, SLOTS * (i + 1) // PRIMARIES
            node.do("CLUSTER", "ADDSLOTSRANGE", first, after - 1)
            node.do("CLUSTER", "SET-CONFIG-EPOCH", i + 1)
        # Each meets all: hearing of one another by gossip takes seconds.
        for node, other in itertools.combinations(self.nodes, 2):
            node.do("CLUSTER", "MEET", "127.0.0.1", other.port, other.bus_port)
        wait_until(lambda: all(map(self._is_whole, self.nodes)), "all nodes meet", UP_LIMIT_S)
        if not replicas:
            return
        for primary, replica in zip(primaries, replicas, strict=True):
            replica.do("CLUSTER", "REPLICATE", primary.id)
        for replica in replicas:
            wait_until(lambda r=replica: self.follows(r), "a replica follows", UP_LIMIT_S)  # type: ignore[misc]
        # A primary that has not heard of its replica ignores that replica's planned failover.
        wait_until(lambda: all(map(self._has_replicas, self.nodes)), "all are known", UP_LIMIT_S)

    @staticmethod
    def _has_replicas(node: ClusterNode) -> bool:
        """Whether a node knows a replica of each primary."""
        return all(len(entry) == 4 for entry in _slots(node))

    def _is_whole(self, node: ClusterNode) -> bool:
        said = node.cluster_info()
        return (
            said["cluster_state"] == "ok"
            and said["cluster_known_nodes"] == str(len(self.nodes))
            and len(self._owners(node)) == PRIMARIES
        )

    @staticmethod
    def _owners(node: ClusterNode) -> set[bytes]:
        return {entry[2][2] for entry in _slots(node)}

    @staticmethod
    def follows(node: ClusterNode) -> bool:
        """Whether a node is a replica that has its primary's data."""
        said = node.client.info("replication")
        return (said["role"], said.get("master_link_status")) == ("slave", "up")

    @property
    def url(self) -> str:
        """The cluster's URL, by its first two nodes."""
        return "redis+cluster://" + ",".join(f"{host}:{port}" for host, port in self.addresses[:2])

    @property
    def primaries(self) -> list[ClusterNode]:
        """Those that are primaries now."""
        return [node for node in self.nodes if node.answers() and node.info("role") == "master"]

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where the nodes are."""
        return [("127.0.0.1", node.port) for node in self.nodes]

    def node_at(self, port: int) -> ClusterNode:
        """Return the node with this port."""
        return next(node for node in self.nodes if node.port == port)

    def owner(self, key: str) -> ClusterNode:
        """Return the primary that serves a key's slot, as a living node says."""
        slot = key_slot(key.encode())
        for node in self.nodes:
            if node.answers() and (port := _owner(node, slot)) is not None:
                return self.node_at(port)
        raise AssertionError(f"no living node knows who serves slot {slot}")

    def replica_of(self, primary: ClusterNode) -> ClusterNode:
        """Return a replica that follows a primary."""
        return next(
            node
            for node in self.nodes
            if node.answers()
            and node.info("role") == "slave"
            and node.info("master_port") == primary.port
        )

    # -- what a test does to it -----------------------------------------------------------

    def kill(self, primary: ClusterNode) -> ClusterNode:
        """Kill a primary; return its replica, once that has taken its place."""
        replica = self.replica_of(primary)
        primary.kill()
        wait_until(lambda: self._all_name(replica, primary), "the replica takes over", UP_LIMIT_S)
        return replica

    def failover(self, primary: ClusterNode) -> ClusterNode:
        """Let a primary and its replica change places, as for planned work; return the new one."""
        replica = self.replica_of(primary)
        asked_at = -FAILOVER_S

        def changed() -> bool:
            nonlocal asked_at
            if replica.info("role") == "slave" and time.monotonic() - asked_at > FAILOVER_S:
                asked_at = time.monotonic()
                replica.do("CLUSTER", "FAILOVER")
            return self.follows(primary) and self._all_name(replica, primary)

        wait_until(changed, "the primary follows", UP_LIMIT_S)
        return replica

    def _all_name(self, new: ClusterNode, old: ClusterNode) -> bool:
        """Whether every living node names one primary in another's place."""
        named = [{entry[2][1] for entry in _slots(node)} for node in self.nodes if node.answers()]
        return all(new.port in ports and old.port not in ports for ports in named)

    def begin_move(self, slot: int, source: ClusterNode, target: ClusterNode) -> None:
        """Begin to move a slot, and leave it migrating."""
        target.do("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
        source.do("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id)

    def move_keys(self, slot: int, source: ClusterNode, target: ClusterNode, count: int) -> int:
        """Move at most so many keys of a slot that is migrating; return how many were moved."""
        keys = source.do("CLUSTER", "GETKEYSINSLOT", slot, count)
        if keys:
            source.do("MIGRATE", "127.0.0.1", target.port, "", 0, 30_000, "KEYS", *keys)
        return len(keys)

    def end_move(self, slot: int, source: ClusterNode, target: ClusterNode) -> None:
        """Move what is left of a slot, and give it to its new owner."""
        while self.move_keys(slot, source, target, 100):
            pass
        for node in (target, source):
            node.do("CLUSTER", "SETSLOT", slot, "NODE", target.id)
        living = [node for node in self.nodes if node.answers()]
        wait_until(
            lambda: all(_owner(node, slot) == target.port for node in living),
            "all know the slot's new owner",
            UP_LIMIT_S,
        )

    def end(self) -> None:
        """End all nodes."""
        for node in self.nodes:
            node.end()


def _owner(node: ClusterNode, slot: int) -> int | None:
    """Return the port of the primary that serves a slot, as a node says."""
    for first, last, primary, *_ in _slots(node):
        if first <= slot <= last:
            return int(primary[1])
    return None


def _slots(node: ClusterNode) -> list[Any]:
    """Return CLUSTER SLOTS as Redis says it."""
    connection = node.client.connection_pool.get_connection()
    try:
        connection.send_command("CLUSTER", "SLOTS")  # type: ignore[no-untyped-call]
        reply = connection.read_response()
    finally:
        node.client.connection_pool.release(connection)
    assert isinstance(reply, list)
    return reply
