"""The shortest run of `make chaos`: each kind of fault once, by a fixed seed, with people at it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.chaos.clustered import CLUSTER_FAULTS, ClusterBreaker, cluster_world
from tests.chaos.drive import drive
from tests.chaos.faults import FAULTS, ServerBreaker
from tests.chaos.ledger import Ledger
from tests.chaos.world import World, world
from tests.support.gateway import SHORT_LEASE
from tests.support.redis_kinds import Kind, clustered
from tests.support.topologies import each_kind

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import TypeVar

    from tests.chaos.breaker import Breaker, Fault
    from tests.support.simulator import Simulator

    W = TypeVar("W", bound=World)

pytestmark = pytest.mark.anyio

KINDS = pytest.mark.parametrize("kind", each_kind(clustered()))


async def do_each_once(made: W, breaking: type[Breaker[W]], faults: Sequence[Fault]) -> None:
    """Do every fault, and check that nobody has met what must not be."""
    ledger = Ledger()
    await drive(
        made,
        ledger,
        breaking,
        seconds=0,
        seed=1,
        people=5,
        longest=30,
        scale=0.1,
        every_kind=True,
    )
    assert ledger.wrongs == [], ledger.report()
    assert {fault.kind for fault in faults} <= set(ledger.faults)
    assert ledger.seen["answer read whole"] > 0


async def test_people_lose_nothing_while_every_kind_of_fault_is_done_once(
    simulator: Simulator, tmp_path: Path
) -> None:
    """Every answer ends, as it is kept; nothing is left of it, and no process dies by itself."""
    async with world(tmp_path, simulator, SHORT_LEASE) as made:
        await do_each_once(made, ServerBreaker, FAULTS)


@pytest.mark.release
@pytest.mark.timeout(600)
@KINDS
async def test_people_lose_nothing_while_every_fault_of_a_cluster_is_done_once(
    kind: Kind, simulator: Simulator, tmp_path: Path
) -> None:
    """Also not while slots move, or a replica takes a primary's place."""
    async with cluster_world(tmp_path, kind, simulator, SHORT_LEASE) as made:
        await do_each_once(made, ClusterBreaker, CLUSTER_FAULTS)
