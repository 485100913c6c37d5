"""Usage of callers' limits, counted in Redis for all gateways.

A scope shares a limit: a user, an address, a tenant, an agent key. All keys of one
are tagged `{scope}`, so that one script decides about it in one step. Every key has a TTL, and
what a process holds and does not hold again expires, so that the dead give their places back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from msgspec import Struct

from midstream.store.keys import HeldName

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from midstream.store.cluster.commands import Commands
    from midstream.store.keys import Keys
    from midstream.store.redis.client import Reply
    from midstream.store.redis.stored_bytes import StoredBytes
    from midstream.store.scripts.script import Command

Held = Literal["runs", "streams", "bytes", "tokens"]
"""Holds that last as long as what they count. A token of the last two is `RUN AMOUNT`."""

REMEMBER_SEND_MS: Final = 600_000
"""Time in which a repeated send is recognised: longer than clients repeat one."""

REMEMBER_RUN_MS: Final = 600_000
"""Time in which a counted run is recognised: another gateway may have ended it too."""

BATCH: Final = 200
"""Commands of a pipeline, and tokens of a command."""


class Take(Struct, frozen=True, kw_only=True):
    """Need of a request in one scope; a limit of 0 is none.

    Attributes:
        send, stream: tokens of what it begins; empty if it begins none.
        run: token of the send's run, which several sends may share.
        between_us, burst_us: between two sends, and how far ahead of that pace they may be.
        size, tokens: tokens of what the run may add to bytes stored and to tokens used; empty if
            that is not limited.
    """

    scope: str
    send: str
    stream: str
    run: str = ""
    between_us: int = 0
    burst_us: int = 0
    open_runs: int = 0
    open_streams: int = 0
    size: str = ""
    stored_bytes: int = 0
    tokens: str = ""
    tokens_per_day: int = 0


class Taken(Struct, frozen=True, kw_only=True):
    """The answer.

    Attributes:
        reached: the limit that is reached; empty if everything was taken.
        reset_ms: until there is room again; 0 if nobody knows.
        seen: the send was there before, and nothing was counted for it.
    """

    reached: str
    reset_ms: int
    seen: bool


class Spent(Struct, frozen=True):
    """Use of a scope's tokens by a run."""

    scope: str
    run: str
    tokens: int


class LimitCounts:
    """The counts of all scopes.

    Attributes:
        stored: how many bytes there are of whose sessions.
    """

    def __init__(self, client: Commands, keys: Keys, stored: StoredBytes) -> None:
        self._client = client
        self._names = keys
        self.stored = stored

    async def take(self, requests: Sequence[Sequence[Take]], lease_ms: int) -> list[list[Taken]]:
        """Take what requests need, each of all its scopes or of none, in one round trip.

        A scope that has no room takes nothing; what others took for the request is given back.

        Raises:
            StoreError: what was taken is unknown; places expire.
        """
        scripts = self._client.scripts
        commands = [self._taking(take, lease_ms) for wanted in requests for take in wanted]
        replies = iter(await self._client.run_all(commands))
        answers = [[_taken(next(replies)) for _ in wanted] for wanted in requests]
        undo = [
            scripts.limit_undo.call(
                self._names.scope(take.scope),
                send=take.send,
                stream=take.stream,
                run=take.run,
                between_us=take.between_us,
                size=take.size,
                budget=take.tokens,
            )
            for wanted, taken in zip(requests, answers, strict=True)
            if any(each.reached for each in taken)
            for take, each in zip(wanted, taken, strict=True)
            if not each.reached and not each.seen
        ]
        if undo:
            await self._client.run_all(undo)
        return answers

    def _taking(self, take: Take, lease_ms: int) -> Command:
        return self._client.scripts.limit_take.call(
            self._names.scope(take.scope),
            send=take.send,
            stream=take.stream,
            run=take.run,
            between_us=take.between_us,
            burst_us=take.burst_us,
            most_runs=take.open_runs,
            most_streams=take.open_streams,
            lease_ms=lease_ms,
            remember_ms=REMEMBER_SEND_MS,
            size=take.size,
            most_bytes=take.stored_bytes,
            budget=take.tokens,
            most_tokens=take.tokens_per_day,
        )

    async def hold(
        self, process: str, held: Iterable[tuple[str, Held, Sequence[str]]], lease_ms: int
    ) -> int:
        """Go on holding tokens of scopes; return how many processes do so.

        Raises:
            StoreError.
        """
        call = self._client.scripts.limit_hold.call
        commands: list[Command] = [
            call(
                HeldName(self._names.limit(scope, kind)),
                *tokens[start : start + BATCH],
                lease_ms=lease_ms,
            )
            for scope, kind, tokens in held
            for start in range(0, len(tokens), BATCH)
        ]
        commands.append(call(self._names.gateways(), process, lease_ms=lease_ms))
        count = 0
        for start in range(0, len(commands), BATCH):
            replies = await self._client.run_all(commands[start : start + BATCH])
            count = int(replies[-1])
        return count

    async def release(self, held: Iterable[tuple[str, Held, Sequence[str]]]) -> None:
        """Hold tokens of scopes no more.

        Raises:
            StoreError: they expire by themselves.
        """
        commands: list[Command] = [
            ("ZREM", self._names.limit(scope, kind), *tokens) for scope, kind, tokens in held
        ]
        for start in range(0, len(commands), BATCH):
            await self._client.run_all(commands[start : start + BATCH])

    async def spend(self, spent: Sequence[Spent]) -> None:
        """Count the tokens that runs have used; those of one run are counted once.

        Raises:
            StoreError: the outcome is unknown; count again.
        """
        call = self._client.scripts.limit_spend.call
        for start in range(0, len(spent), BATCH):
            await self._client.run_all(
                [
                    call(
                        self._names.spent(each.scope),
                        run=each.run,
                        tokens=each.tokens,
                        remember_ms=REMEMBER_RUN_MS,
                    )
                    for each in spent[start : start + BATCH]
                ]
            )


def _taken(reply: Reply) -> Taken:
    reached, reset_ms, seen = reply
    return Taken(reached=reached.decode(), reset_ms=reset_ms, seen=bool(seen))
