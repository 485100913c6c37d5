"""The simulation of a large deployment plays the product's code to its end, in no time."""

from __future__ import annotations

import random
from functools import partial

import pytest

from midstream.sessions.failover.reaper import LeaseLimits
from tests.bench.simulate import placed, take_up
from tests.bench.simulated_time import simulated


def test_every_orphan_is_closed_once_its_lease_has_ended() -> None:
    """Not before: its producer might live."""
    limits = LeaseLimits(lease_s=8, renew_interval_s=2.5, tick_s=2)
    seen = simulated(partial(take_up, 5, 200, limits))
    assert limits.lease_s - limits.renew_interval_s < seen["half"] <= seen["all"]
    assert seen["all"] < limits.lease_s + 2 * limits.tick_s
    assert seen["scripts"] >= 2  # each is looked at, and taken


@pytest.mark.parametrize("seed", [0, 1])
def test_gateways_that_take_up_the_same_orphans_do_not_wait_for_ticks(seed: int) -> None:
    """Each finds that others have taken some, and goes on with the rest at once."""
    random.seed(seed)
    limits = LeaseLimits(lease_s=8, renew_interval_s=2.5, tick_s=2)
    seen = simulated(partial(take_up, 5, 3_000, limits))
    assert seen["all"] < limits.lease_s + limits.tick_s


def test_sessions_are_spread_over_all_shards() -> None:
    together, most, most_hints = placed(20_000, 10)
    assert 1 <= most < 1.1
    assert 1 <= most_hints < 1.2
    assert together > 0.9


def test_hints_of_more_shards_than_parts_are_apart_from_their_sessions() -> None:
    assert placed(20_000, 64)[0] > 0.95
    assert placed(20_000, 100)[0] < 0.6
