"""What callers have taken of their limits, counted in Redis for all gateways.

A scope is whoever shares a limit: a user, an address, a tenant, an agent key. All keys of one
are tagged `{scope}`, so that one script decides about it in one step. Every key has a TTL, and
what a process holds and does not hold again expires, so that the dead give their places back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from midstream.store.client import RedisClient, Reply
    from midstream.store.scripts import Command

Held = Literal["runs", "streams"]
"""What is held for as long as it lasts."""

REMEMBER_SEND_MS: Final = 600_000
"""How long a send is known again: longer than clients repeat one."""

BATCH: Final = 200
"""Commands of a pipeline, and tokens of a command."""


class Take(Struct, frozen=True, kw_only=True):
    """What a request needs of one scope; a limit of 0 is none.

    Attributes:
        send, stream: tokens of what it begins; empty if it begins none.
        run: token of the send's run, which several sends may share.
        between_us, burst_us: between two sends, and how far ahead of that pace they may be.
    """

    scope: str
    send: str
    stream: str
    run: str = ""
    between_us: int = 0
    burst_us: int = 0
    open_runs: int = 0
    open_streams: int = 0


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


class LimitCounts:
    """The counts of all scopes."""

    def __init__(self, client: RedisClient, prefix: str) -> None:
        self._client = client
        self._prefix = prefix

    async def take(self, requests: Sequence[Sequence[Take]], lease_ms: int) -> list[list[Taken]]:
        """Take what requests need, each of all its scopes or of none, in one round trip.

        A scope that has no room takes nothing; what others took for the request is given back.

        Raises:
            StoreError: what was taken is unknown; places expire.
        """
        scripts = self._client.scripts
        replies = iter(
            await self._client.run_all(
                [
                    scripts.limit_take.call(
                        self._keys(take.scope),
                        *(take.send, take.stream, take.run, take.between_us, take.burst_us),
                        *(take.open_runs, take.open_streams, lease_ms, REMEMBER_SEND_MS),
                    )
                    for wanted in requests
                    for take in wanted
                ]
            )
        )
        answers = [[_taken(next(replies)) for _ in wanted] for wanted in requests]
        undo = [
            scripts.limit_undo.call(
                self._keys(take.scope), take.send, take.stream, take.run, take.between_us
            )
            for wanted, taken in zip(requests, answers, strict=True)
            if any(each.reached for each in taken)
            for take, each in zip(wanted, taken, strict=True)
            if not each.reached and not each.seen
        ]
        if undo:
            await self._client.run_all(undo)
        return answers

    async def hold(
        self, process: str, held: Iterable[tuple[str, Held, Sequence[str]]], lease_ms: int
    ) -> int:
        """Go on holding tokens of scopes; return how many processes do so.

        Raises:
            StoreError.
        """
        call = self._client.scripts.limit_hold.call
        gateways = (f"{self._prefix}:limit:gateways".encode(),)
        commands: list[Command] = [
            call((self._key(scope, kind),), lease_ms, *tokens[start : start + BATCH])
            for scope, kind, tokens in held
            for start in range(0, len(tokens), BATCH)
        ]
        commands.append(call(gateways, lease_ms, process))
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
            ("ZREM", self._key(scope, kind), *tokens) for scope, kind, tokens in held
        ]
        for start in range(0, len(commands), BATCH):
            await self._client.run_all(commands[start : start + BATCH])

    def _key(self, scope: str, name: str) -> bytes:
        return f"{self._prefix}:limit:{{{scope}}}:{name}".encode()

    def _keys(self, scope: str) -> tuple[bytes, ...]:
        return tuple(self._key(scope, name) for name in ("sends", "seen", "runs", "streams"))


def _taken(reply: Reply) -> Taken:
    reached, reset_ms, seen = reply
    return Taken(reached=reached.decode(), reset_ms=reset_ms, seen=bool(seen))
