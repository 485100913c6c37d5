"""The shortest run of `make chaos`: each kind of fault once, by a fixed seed, with people at it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.chaos.drive import drive
from tests.chaos.faults import FAULTS
from tests.chaos.ledger import Ledger
from tests.chaos.world import world
from tests.support.gateway import SHORT_LEASE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.simulator import Simulator

pytestmark = pytest.mark.anyio


async def test_people_lose_nothing_while_every_kind_of_fault_is_done_once(
    simulator: Simulator, tmp_path: Path
) -> None:
    """Every answer ends, as it is kept; nothing is left of it, and no process dies by itself."""
    ledger = Ledger()
    async with world(tmp_path, simulator, SHORT_LEASE) as made:
        await drive(
            made, ledger, seconds=0, seed=1, people=5, longest=30, scale=0.1, every_kind=True
        )

    assert ledger.wrongs == [], ledger.report()
    assert {fault.kind for fault in FAULTS} <= set(ledger.faults)
    assert ledger.seen["answer read whole"] > 0
