"""A large deployment in simulated time, by the product's own code: `make simulate`.

Part one places sessions on shards by the names of their keys. Part two lets gateways die, and plays
one shard: the reapers of all others, with their handover, their hints and their view of leases,
over a model of a Redis that does one command after the other. Nothing is measured: what a command
costs the model is about what it costs Redis on the machine of docs/performance.md.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import random
import selectors
import statistics
import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast
from unittest.mock import patch

from redis.crc import key_slot

from midstream.ids import MessageId, RunId, SessionId
from midstream.sessions.failover.reaper import LeaseLimits, Reaper
from midstream.sessions.log.orphans import Orphans
from midstream.store.keys import Keys
from midstream.store.record_codec import encode_info
from midstream.store.records import RunInfo, RunState, Trigger
from midstream.store.redis.access import RedisAccess
from midstream.store.redis.handover import RunHandover
from midstream.store.scripts.catalog import Scripts
from midstream.store.scripts.handover import take_over
from midstream.store.server.settings import StoreSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from midstream.sessions.runs.closer import RunCloser
    from midstream.store.calls import TakenOver
    from midstream.store.contract import SessionStore
    from midstream.store.redis.client import RedisClient
    from midstream.store.scripts.script import Command

say = partial(print, flush=True)

SHARDS: Final = 100
SLOTS: Final = 16_384
PLACED: Final = 200_000
"""Sessions that are placed."""

ORPHANS: Final = 3_000
"""Runs that the dead gateways leave on one shard: 300,000 on all of them."""
FLEETS: Final = (10, 100, 1_000)
"""Gateways that survive."""

LONGEST_LEASES: Final = 10
"""Leases after which a simulation in which a run is left open ends with an error."""

ROUND_TRIP_S: Final = 0.0005
COST_S: Final = {"due": 20e-6, "take_over": 25e-6, "hint": 8e-6, "ZREM": 5e-6, "close": 120e-6}
"""What each command holds Redis for; a close with the load before it."""


class SimulatedTime(asyncio.SelectorEventLoop):
    """An event loop whose clock goes on as soon as there is nothing to do before."""

    def __init__(self) -> None:
        super().__init__(_NoSelector(self))
        self.now = 1_000.0

    def time(self) -> float:
        """Return the simulated time in seconds."""
        return self.now


class _NoSelector(selectors.SelectSelector):
    """Waits for nothing but the clock."""

    def __init__(self, loop: SimulatedTime) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        """Let the time pass."""
        if timeout is not None and timeout > 0:
            self._loop.now += timeout
        return []


class Shard:
    """One Redis: its hint of leases, and who has taken which run.

    Attributes:
        asked: how often each command was asked for.
        ended: when each run was closed.
        cleared: set once all are.
    """

    def __init__(self, lease_s: float) -> None:
        self.asked: Counter[str] = Counter()
        self.ended: list[float] = []
        self.cleared = asyncio.Event()
        self.busy_s = 0.0
        self._free_at = 0.0
        self._lease_ms = int(lease_s * 1000)
        self._leases: dict[str, int] = {}
        self._hint: dict[str, int] = {}
        self._due: list[tuple[int, str]] = []
        self._scripts = {
            "due": self._read_due,
            "hint": self._note_hint,
            "take_over": self._take_over,
            "ZREM": self._zrem,
        }
        self._names = {getattr(Scripts(), name).sha: name for name in ("due", "hint", "take_over")}

    def orphan(self, runs: Iterable[tuple[str, str]], renewed_within_s: float) -> None:
        """Let the producers of these runs die, each somewhere between two renewals."""
        self.asked.clear()
        self.cleared.clear()
        self.busy_s = 0.0
        for session, run in runs:
            ago_ms = random.randrange(int(renewed_within_s * 1000))  # noqa: S311
            ends_ms = _now_ms() + self._lease_ms - ago_ms
            self._leases[f"{session}|{run}"] = ends_ms
            self._note(f"{session}|{run}", ends_ms)

    async def answer(self, commands: Sequence[Command]) -> list[Any]:
        """Answer a pipeline after its turn and its way."""
        replies: list[Any] = []
        cost_s = 0.0
        for command in commands:
            name = self._names.get(str(command[1]), str(command[0]))
            self.asked[name] += 1
            cost_s += COST_S[name]
            replies.append(self._scripts[name](command))
        await self._wait(cost_s)
        return replies

    async def close(self, session: str, run: str) -> None:
        """Read a run, and write its terminal."""
        self.asked["close"] += 1
        await self._wait(COST_S["close"])
        self._forget(f"{session}|{run}")
        self.ended.append(time.monotonic())
        if not self._leases:
            self.cleared.set()

    async def _wait(self, cost_s: float) -> None:
        now = time.monotonic()
        self._free_at = max(self._free_at, now) + cost_s
        self.busy_s += cost_s
        await asyncio.sleep(self._free_at - now + ROUND_TRIP_S)

    def _forget(self, member: str) -> None:
        self._hint.pop(member, None)
        self._leases.pop(member, None)

    def _note(self, member: str, score: int) -> None:
        self._hint[member] = score
        heapq.heappush(self._due, (score, member))

    def _due_now(self, until: int, limit: int) -> list[bytes]:
        found: list[tuple[int, str]] = []
        while self._due and len(found) < limit and self._due[0][0] <= until:
            score, member = heapq.heappop(self._due)
            if self._hint.get(member) == score and (score, member) not in found[-1:]:
                found.append((score, member))
        for each in found:
            heapq.heappush(self._due, each)
        return [member.encode() for _, member in found]

    # -- scripts --------------------------------------------------------------------------------

    def _read_due(self, command: Command) -> list[Any]:
        hint, limit, _, early_ms = command[3:]
        if b"leases" not in cast("bytes", hint):
            return [_now_ms(), []]
        return [_now_ms(), self._due_now(_now_ms() + int(early_ms), int(limit))]

    def _note_hint(self, command: Command) -> int:
        delay_ms, _, *members = command[4:]
        for member in members:
            if str(member) in self._leases:
                self._note(str(member), _now_ms() + int(delay_ms))
        return 0

    def _zrem(self, command: Command) -> int:
        if b"leases" in cast("bytes", command[1]):
            for member in command[2:]:
                self._hint.pop(str(member), None)
        return 1

    def _take_over(self, command: Command) -> list[Any]:
        session = Keys().session_of(cast("bytes", command[3]))
        values = command[3 + int(command[2]) :]
        names = (*take_over.channels, *take_over.arguments)
        given = dict(zip(names, values, strict=True))
        run, how, mark = str(given["run"]), given["how"], given["ended_mark"]
        member = f"{session}|{run}"
        ends_ms = self._leases.get(member)
        if ends_ms is None:
            return [b"gone"]
        held = b"%d 0" % ends_ms
        if how == "take" and mark == held:
            self._leases[member] = _now_ms() + self._lease_ms
            return [b"taken", _kept(run), 2, 5]
        return [b"held", held, b"%d" % ends_ms, b"%d" % self._lease_ms, _now_ms()]


class Client:
    """What the handover and the hints take of a `RedisClient`."""

    def __init__(self, shard: Shard, scripts: Scripts) -> None:
        self.scripts = scripts
        self._shard = shard

    async def run(self, command: Command) -> Any:
        """See RedisClient."""
        return (await self._shard.answer([command]))[0]

    async def run_each(self, commands: Sequence[Command]) -> list[Any]:
        """See RedisClient."""
        return await self._shard.answer(commands)

    def place(self, _: bytes) -> int:
        """See RedisClient: there is one."""
        return 0

    def is_away(self, _: bytes) -> bool:
        """See RedisClient."""
        return False


class Store:
    """What a reaper takes of a `SessionStore`."""

    def __init__(self, shard: Shard, scripts: Scripts) -> None:
        client = cast("RedisClient", Client(shard, scripts))
        handover = RunHandover(RedisAccess.of(client, Keys(), StoreSettings()))
        self.healthy_since = 0.0
        self.expired_leases = handover.expired_leases
        self.expired_waits = handover.expired_waits
        self.take_over = handover.take_over

    def served_since(self, _: SessionId) -> float:
        """See SessionStore."""
        return self.healthy_since

    async def trim_due(self, limit: int) -> int:
        """See SessionStore."""
        return 0


class Closer:
    """Closes the runs that a reaper has taken."""

    def __init__(self, shard: Shard) -> None:
        self._shard = shard

    async def close_orphan(self, taken: TakenOver) -> bool:
        """See RunCloser."""
        await self._shard.close(taken.key.session_id, taken.run.id)
        return True


def _kept(run: str) -> bytes:
    """Return a run as the session keeps it."""
    info = RunInfo(
        id=RunId(run),
        state=RunState.OPEN,
        message_id=MessageId("answer"),
        user_message_id=MessageId("question"),
        trigger=Trigger.SUBMIT,
        agent="assistant",
    )
    return b"1\n5\n1-0\nr\nopen\n\n\n1\n\n" + encode_info(info)


def _now_ms() -> int:
    return int(time.monotonic() * 1000)


async def take_up(gateways: int, orphans: int, limits: LeaseLimits) -> dict[str, float]:
    """Let so many gateways take up the orphans of one shard; return what it took."""
    runs = [(f"chat-{number}", f"run-{number}") for number in range(orphans)]
    shard, scripts = Shard(limits.lease_s), Scripts()
    reapers = [
        Reaper(
            cast("SessionStore", Store(shard, scripts)),
            limits,
            tuple,
            cast("RunCloser", Closer(shard)),
            Orphans(),
        )
        for _ in range(gateways)
    ]
    tasks = [asyncio.create_task(_begin(reaper, limits.tick_s)) for reaper in reapers]
    await asyncio.sleep(limits.lease_s + limits.tick_s)  # all know Redis's clock by then
    began = time.monotonic()
    shard.orphan(runs, limits.renew_interval_s)
    async with asyncio.timeout(LONGEST_LEASES * limits.lease_s):
        await shard.cleared.wait()
    took_s = time.monotonic() - began
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return {
        "half": statistics.median(shard.ended) - began,
        "all": took_s,
        "scripts": shard.asked["take_over"] / orphans,
        "busy": shard.busy_s / took_s,
    }


async def _begin(reaper: Reaper, tick_s: float) -> None:
    """Run a reaper, whose ticks are at any time."""
    await asyncio.sleep(random.uniform(0, tick_s))  # noqa: S311
    await reaper.run()


def placed(sessions: int, shards: int) -> tuple[float, float]:
    """Return the load of the emptiest and of the fullest shard, to the mean."""
    keys = Keys()
    slots = (key_slot(keys.session(SessionId(f"chat-{n:x}")).log) for n in range(sessions))
    load = Counter(slot * shards // SLOTS for slot in slots)
    mean = sessions / shards
    return min(load.values()) / mean, max(load.values()) / mean


def simulated(play: Callable[[], Any]) -> Any:
    """Return what a coroutine returns that is played in simulated time."""
    with asyncio.Runner(loop_factory=SimulatedTime) as runner:
        loop = cast("SimulatedTime", runner.get_loop())
        with patch("time.monotonic", lambda: loop.now):
            return runner.run(play())


def main() -> None:
    """Print both parts, as docs/scaling.md has them."""
    random.seed(1)
    logging.disable(logging.CRITICAL)
    least, most = placed(PLACED, SHARDS)
    say(f"{PLACED:,} sessions on {SHARDS} shards: {least:.2f} to {most:.2f} of the mean\n")
    say("| gateways that survive | half closed | all closed | scripts a run | Redis busy |")
    say("|---|---|---|---|---|")
    for gateways in FLEETS:
        seen = simulated(partial(take_up, gateways, ORPHANS, LeaseLimits()))
        say(
            f"| {gateways:,} | {seen['half']:.1f} s | {seen['all']:.1f} s "
            f"| {seen['scripts']:.0f} | {seen['busy']:.0%} |"
        )


if __name__ == "__main__":
    main()
