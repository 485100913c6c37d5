"""A large deployment in simulated time, by the product's own code: `make simulate`.

Part one places sessions, and the hints that lead to them, on shards by their names. Part two lets
gateways die, and plays what they left on one of a hundred shards: the reapers of all others, with
their handover, their hints in 64 parts and their view of leases, over a model of shards that do one
command after the other. Nothing is measured: what a command costs the model is about what it costs
Redis on the machine of docs/performance.md.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import random
import statistics
import time
from collections import Counter, defaultdict
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from redis.crc import key_slot

from midstream.ids import MessageId, RunId, SessionId
from midstream.sessions.failover.reaper import LeaseLimits, Reaper
from midstream.sessions.log.orphans import Orphans
from midstream.store.cluster.slots import slot_of_command
from midstream.store.keys import Keys
from midstream.store.record_codec import encode_info
from midstream.store.records import RunInfo, RunState, Trigger
from midstream.store.redis.access import RedisAccess
from midstream.store.redis.handover import RunHandover
from midstream.store.scripts.catalog import Scripts
from midstream.store.scripts.handover import take_over
from midstream.store.server.settings import StoreSettings
from tests.bench.simulated_time import simulated

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from midstream.sessions.runs.closer import RunCloser
    from midstream.store.calls import TakenOver
    from midstream.store.contract import SessionStore
    from midstream.store.redis.client import RedisClient
    from midstream.store.scripts.script import Command

say = partial(print, flush=True)

SHARDS: Final = 100
SIZES: Final = (3, 10, 32, 64, SHARDS)
SLOTS: Final = 16_384
PLACED: Final = 200_000
"""Sessions that are placed."""

ORPHANS: Final = 3_000
"""Runs that the dead gateways leave on one shard: 300,000 on all of them."""
FLEETS: Final = (10, 100, 1_000)
"""Gateways that survive."""

PLAYED: Final = 50
"""The shard that they were on. Many of its hints are on its neighbours, as of most shards."""

_KEYS: Final = Keys(sharded=True)

LONGEST_LEASES: Final = 10
"""Leases after which a simulation in which a run is left open ends with an error."""

ROUND_TRIP_S: Final = 0.0005
COST_S: Final = {"due": 20e-6, "take_over": 25e-6, "hint": 8e-6, "ZREM": 5e-6, "close": 120e-6}
"""What each command holds Redis for; a close with the load before it."""


class _Hint:
    """One name of a hint: members by when they are due."""

    def __init__(self) -> None:
        self._scores: dict[str, int] = {}
        self._due: list[tuple[int, str]] = []

    def note(self, member: str, score: int) -> None:
        """Add a member, or move it."""
        self._scores[member] = score
        heapq.heappush(self._due, (score, member))

    def forget(self, member: str) -> None:
        """Remove a member, if it is there."""
        self._scores.pop(member, None)

    def due(self, until: int, limit: int) -> list[bytes]:
        """Return at most so many members that are due, oldest first."""
        found: list[tuple[int, str]] = []
        while self._due and len(found) < limit and self._due[0][0] <= until:
            score, member = heapq.heappop(self._due)
            if self._scores.get(member) == score and (score, member) not in found[-1:]:
                found.append((score, member))
        for each in found:
            heapq.heappush(self._due, each)
        return [member.encode() for _, member in found]


class Shards:
    """All shards: their hints of leases, and who has taken which run.

    Attributes:
        asked: how often each command was asked for.
        ended: when each run was closed.
        cleared: set once all are.
        busy_s: by shard, how long it was busy.
    """

    def __init__(self, lease_s: float) -> None:
        self.asked: Counter[str] = Counter()
        self.ended: list[float] = []
        self.cleared = asyncio.Event()
        self.busy_s: defaultdict[int, float] = defaultdict(float)
        self._free_at: dict[int, float] = {}
        self._keys = Keys(sharded=True)
        self._lease_ms = int(lease_s * 1000)
        self._leases: dict[str, int] = {}
        self._hints: dict[bytes, _Hint] = {name.hint: _Hint() for name in self._keys.leases.names}
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
        self.busy_s.clear()
        for session, run in runs:
            ago_ms = random.randrange(int(renewed_within_s * 1000))  # noqa: S311
            ends_ms = _now_ms() + self._lease_ms - ago_ms
            self._leases[f"{session}|{run}"] = ends_ms
            self._hint_of(session).note(f"{session}|{run}", ends_ms)

    def _hint_of(self, session: str) -> _Hint:
        return self._hints[self._keys.leases.of(SessionId(session)).hint]

    async def answer(self, commands: Sequence[Command]) -> list[Any]:
        """Answer a pipeline after its turn and its way."""
        replies: list[Any] = []
        costs_s: defaultdict[int, float] = defaultdict(float)
        for command in commands:
            name = self._names.get(str(command[1]), str(command[0]))
            self.asked[name] += 1
            slot = slot_of_command(command)
            assert slot is not None
            costs_s[slot * SHARDS // SLOTS] += COST_S[name]
            replies.append(self._scripts[name](command))
        await self._wait(costs_s)
        return replies

    async def close(self, session: str, run: str) -> None:
        """Read a run, and write its terminal."""
        self.asked["close"] += 1
        await self._wait({shard_of(session): COST_S["close"]})
        self._hint_of(session).forget(f"{session}|{run}")
        self._leases.pop(f"{session}|{run}", None)
        self.ended.append(time.monotonic())
        if not self._leases:
            self.cleared.set()

    async def _wait(self, costs_s: Mapping[int, float]) -> None:
        """Wait for the slowest of these shards."""
        now = time.monotonic()
        for shard, cost_s in costs_s.items():
            self._free_at[shard] = max(self._free_at.get(shard, 0.0), now) + cost_s
            self.busy_s[shard] += cost_s
        slowest = max(self._free_at[shard] for shard in costs_s)
        await asyncio.sleep(slowest - now + ROUND_TRIP_S)

    # -- scripts --------------------------------------------------------------------------------

    def _read_due(self, command: Command) -> list[Any]:
        hint, limit, _, early_ms = command[3:]
        table = self._hints.get(cast("bytes", hint))
        found = table.due(_now_ms() + int(early_ms), int(limit)) if table else []
        return [_now_ms(), found]

    def _note_hint(self, command: Command) -> int:
        hint, delay_ms, _, *members = command[3:]
        for member in members:
            if str(member) in self._leases:
                self._hints[cast("bytes", hint)].note(str(member), _now_ms() + int(delay_ms))
        return 0

    def _zrem(self, command: Command) -> int:
        table = self._hints.get(cast("bytes", command[1]))
        for member in command[2:] if table else ():
            cast("_Hint", table).forget(str(member))
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
    """What the handover and the hints take of a client of a cluster."""

    def __init__(self, shards: Shards, scripts: Scripts) -> None:
        self.scripts = scripts
        self._shards = shards

    async def run(self, command: Command) -> Any:
        """See Commands."""
        return (await self._shards.answer([command]))[0]

    async def run_each(self, commands: Sequence[Command]) -> list[Any]:
        """See Commands."""
        return await self._shards.answer(commands)

    def place(self, key: bytes) -> int:
        """See Commands."""
        return key_slot(key) * SHARDS // SLOTS

    def is_away(self, _: bytes) -> bool:
        """See Commands."""
        return False


class Store:
    """What a reaper takes of a `SessionStore`."""

    def __init__(self, shards: Shards, scripts: Scripts) -> None:
        client = cast("RedisClient", Client(shards, scripts))
        handover = RunHandover(
            RedisAccess.of(client, Keys(sharded=True), StoreSettings(sharded=True))
        )
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

    def __init__(self, shards: Shards) -> None:
        self._shards = shards

    async def close_orphan(self, taken: TakenOver) -> bool:
        """See RunCloser."""
        await self._shards.close(taken.key.session_id, taken.run.id)
        return True


def shard_of(session: str) -> int:
    """Return the shard that keeps a session."""
    return key_slot(_KEYS.session(SessionId(session)).log) * SHARDS // SLOTS


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
    here = (chat for number in itertools.count() if shard_of(chat := f"chat-{number}") == PLAYED)
    runs = [(chat, f"run-of-{chat}") for chat in itertools.islice(here, orphans)]
    shards, scripts = Shards(limits.lease_s), Scripts()
    reapers = [
        Reaper(
            cast("SessionStore", Store(shards, scripts)),
            limits,
            tuple,
            cast("RunCloser", Closer(shards)),
            Orphans(),
        )
        for _ in range(gateways)
    ]
    tasks = [asyncio.create_task(_begin(reaper, limits.tick_s)) for reaper in reapers]
    await asyncio.sleep(limits.lease_s + limits.tick_s)  # all know Redis's clock by then
    began = time.monotonic()
    shards.orphan(runs, limits.renew_interval_s)
    async with asyncio.timeout(LONGEST_LEASES * limits.lease_s):
        await shards.cleared.wait()
    took_s = time.monotonic() - began
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return {
        "half": statistics.median(shards.ended) - began,
        "all": took_s,
        "scripts": shards.asked["take_over"] / orphans,
        "busy": max(shards.busy_s.values()) / took_s,
    }


async def _begin(reaper: Reaper, tick_s: float) -> None:
    """Run a reaper, whose ticks are at any time."""
    await asyncio.sleep(random.uniform(0, tick_s))  # noqa: S311
    await reaper.run()


def placed(sessions: int, shards: int) -> tuple[float, float, float]:
    """Return the share of sessions whose hint is on their own shard, and the fullest shard's load
    of sessions and of hints, to the mean."""
    load: Counter[int] = Counter()
    hinted: Counter[int] = Counter()
    together = 0
    for number in range(sessions):
        session = SessionId(f"chat-{number:x}")
        at = key_slot(_KEYS.session(session).log) * shards // SLOTS
        hint_at = key_slot(_KEYS.leases.of(session).hint) * shards // SLOTS
        load[at] += 1
        hinted[hint_at] += 1
        together += at == hint_at
    mean = sessions / shards
    return together / sessions, max(load.values()) / mean, max(hinted.values()) / mean


def main() -> None:
    """Print both parts, as docs/scaling.md has them."""
    random.seed(1)
    logging.disable(logging.CRITICAL)
    say("| shards | hints with their session | fullest shard, sessions | fullest shard, hints |")
    say("|---|---|---|---|")
    for shards in SIZES:
        together, most, most_hints = placed(PLACED, shards)
        say(f"| {shards} | {together:.0%} | {most:.2f} × the mean | {most_hints:.2f} × |")
    say("")
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
