"""Judges the Sentinels of a URL: whether they agree, and whether they can replace a primary."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from redis.exceptions import RedisError

from midstream.settings.redis_url import Address
from midstream.store.sentinel.link import SentinelLink
from midstream.store.sentinel.words import Word, newest, read_word
from midstream.store.server.inspection import judge_watched
from midstream.store.server.verdict import Level, Verdict

if TYPE_CHECKING:
    from midstream.settings.redis_url import SentinelUrl
    from midstream.store.server.inspection import Inspection

FEWEST: Final = 2
"""Sentinels that must miss a primary before it is replaced: one alone may be cut off itself."""


class Witnesses(Struct, frozen=True, kw_only=True):
    """What the Sentinels of a URL say.

    Attributes:
        name: of the primary.
        words: of those that answer.
        told: what they tell of the primary, by the names of SENTINEL MASTER.
        silent: the others, with the reason.
    """

    name: str
    words: Mapping[Address, Word]
    told: Mapping[Address, Mapping[str, str]]
    silent: Mapping[Address, str]

    @property
    def primary(self) -> Address | None:
        """Where the primary is."""
        return newest(self.words.values(), None)

    @property
    def verdicts(self) -> list[Verdict]:
        """What is said of each property."""
        if not self.words:
            return [_agreement(self)]
        told = next(iter(self.told.values()))
        return [_agreement(self), _quorum(told), judge_watched(told)]


async def witness(url: SentinelUrl) -> Witnesses:
    """Ask every Sentinel of a URL."""
    links = [SentinelLink(at, url) for at in url.sentinels]
    words: dict[Address, Word] = {}
    told: dict[Address, dict[str, str]] = {}
    silent: dict[Address, str] = {}

    async def ask(link: SentinelLink) -> None:
        try:
            flat, address = await link.replies()
            words[link.at] = read_word(flat, address)
        except (RedisError, OSError, TimeoutError, ValueError) as error:
            silent[link.at] = str(error) or "it does not answer in time"
        else:
            texts = [text.decode() for text in flat]
            told[link.at] = dict(zip(texts[::2], texts[1::2], strict=True))

    await asyncio.gather(*map(ask, links))
    await asyncio.gather(*(link.aclose() for link in links))
    return Witnesses(name=url.name, words=words, told=told, silent=silent)


def _agreement(seen: Witnesses) -> Verdict:
    """Judge who answers, and whether they name one primary."""
    reasons = "; ".join(f"{at}: {reason}" for at, reason in seen.silent.items())
    if not seen.words:
        return Verdict(
            "sentinels",
            Level.FAULT,
            f"no Sentinel names the primary {seen.name} ({reasons})",
            "Check the addresses, the name, and the Sentinels' user and password in the URL",
        )
    if seen.silent:
        return Verdict(
            "sentinels",
            Level.DANGER,
            f"{len(seen.silent)} of {len(seen.silent) + len(seen.words)} do not answer ({reasons})",
            "Start them, or take them out of the URL",
        )
    named = {str(word.address) for word in seen.words.values()}
    if len(named) > 1:
        return Verdict(
            "sentinels",
            Level.DANGER,
            f"they name different servers as {seen.name}: {', '.join(sorted(named))}",
            "Wait for the failover to end, or set all of them up for one primary",
        )
    known = 1 + max(_number(told, "num-other-sentinels") for told in seen.told.values())
    if known > len(seen.words):
        return Verdict(
            "sentinels",
            Level.DANGER,
            f"the URL names {len(seen.words)} of {known}: while those are away, a failover is not "
            "noticed",
            "Write the addresses of all of them into the URL",
        )
    return Verdict(
        "sentinels",
        Level.OK,
        f"{len(seen.words)} answer, and name {named.pop()} as the primary {seen.name}",
    )


def _quorum(told: Mapping[str, str]) -> Verdict:
    """Judge how many Sentinels must miss the primary."""
    quorum, known = _number(told, "quorum"), 1 + _number(told, "num-other-sentinels")
    says = f"quorum is {quorum}, and {known} Sentinels know each other"
    if quorum > known:
        return Verdict(
            "quorum", Level.FAULT, f"{says}: no failover is possible", f"Set it to {known // 2 + 1}"
        )
    if quorum < FEWEST:
        return Verdict(
            "quorum",
            Level.DANGER,
            f"{says}: one that is cut off itself begins a failover",
            f"Set it to {FEWEST}",
        )
    return Verdict("quorum", Level.OK, says)


def judge_partition(primary: Inspection) -> Verdict | None:
    """Judge what a primary does that is cut off from its replicas; None: it does not tell."""
    if "min-replicas-to-write" not in primary.settings:
        return None
    if primary.number("min-replicas-to-write"):
        return Verdict(
            "partition", Level.OK, "a primary that is cut off from its replicas refuses writes"
        )
    return Verdict(
        "partition",
        Level.NOTE,
        "min-replicas-to-write is 0: what a primary stores that is cut off from its replicas and "
        "from the Sentinels is lost",
        "With two replicas or more, set it to 1, and min-replicas-max-lag to 10",
    )


def _number(told: Mapping[str, str], name: str) -> int:
    text = told.get(name, "")
    return int(text) if text.isdecimal() else 0
