"""What `midstream doctor` says of the Sentinels of a URL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from midstream.settings.redis_url import Address
from midstream.store.sentinel.words import Word
from midstream.store.server.facts import UNKNOWN
from midstream.store.server.inspection import Inspection
from midstream.store.server.sentinels import Witnesses, judge_partition
from midstream.store.server.verdict import Level

if TYPE_CHECKING:
    import pytest

AT = [Address("s", port) for port in (1, 2, 3)]
PRIMARY, OTHER = Address("db", 1), Address("db", 2)
TOLD = {
    "name": "mine",
    "quorum": "2",
    "num-other-sentinels": "2",
    "num-slaves": "2",
    "down-after-milliseconds": "5000",
}


def judged(
    words: list[Word] | None = None, silent: int = 0, **told: str
) -> dict[str, tuple[Level, str]]:
    said = [Word(PRIMARY, 1)] * 3 if words is None else words
    facts = TOLD | {name.replace("_", "-"): value for name, value in told.items()}
    seen = Witnesses(
        name="mine",
        words=dict(zip(AT, said, strict=False)),
        told={at: facts for at, _ in zip(AT, said, strict=False)},
        silent={at: "Connection refused" for at in AT[:silent]},
    )
    return {verdict.subject: (verdict.level, verdict.text) for verdict in seen.verdicts}


def test_three_that_agree_are_right() -> None:
    found = judged()
    assert {subject: level for subject, (level, _) in found.items()} == {
        "sentinels": Level.OK,
        "quorum": Level.OK,
        "failover": Level.OK,
    }
    assert "db:1" in found["sentinels"][1]


def test_each_fault_of_sentinels_is_named_with_what_to_do(subtests: pytest.Subtests) -> None:
    rows: list[tuple[dict[str, Any], str, Level, str]] = [
        ({"words": [], "silent": 3}, "sentinels", Level.FAULT, "Check the addresses, the name"),
        ({"words": [Word(PRIMARY, 1)], "silent": 1}, "sentinels", Level.DANGER, "Start them"),
        ({"words": [Word(PRIMARY, 1), Word(OTHER, 2)]}, "sentinels", Level.DANGER, "db:1, db:2"),
        ({"words": [Word(PRIMARY, 1)]}, "sentinels", Level.DANGER, "names 1 of 3"),
        ({"quorum": "4"}, "quorum", Level.FAULT, "Set it to 2"),
        ({"quorum": "1"}, "quorum", Level.DANGER, "Set it to 2"),
        ({"num_slaves": "0"}, "failover", Level.DANGER, "Add a replica"),
        ({"down_after_milliseconds": "30000"}, "failover", Level.DANGER, "Set it to 5000"),
    ]
    for said, subject, level, words in rows:
        with subtests.test(str(said)):
            found = judged(**said)[subject]
            assert found[0] is level
            assert words in found[1]


def test_primary_that_takes_writes_alone_is_noted(subtests: pytest.Subtests) -> None:
    """Where it tells of its settings."""
    rows: list[tuple[dict[str, str], Level | None]] = [
        ({}, None),
        ({"min-replicas-to-write": "0"}, Level.NOTE),
        ({"min-replicas-to-write": "1"}, Level.OK),
    ]
    for settings, level in rows:
        with subtests.test(str(settings)):
            seen = Inspection(facts=UNKNOWN, said={}, settings=settings)
            verdict = judge_partition(seen)
            assert (verdict and verdict.level) == level
