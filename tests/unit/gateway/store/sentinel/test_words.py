"""Which Sentinel is believed when they differ, and what is read of their replies."""

from __future__ import annotations

import pytest

from midstream.sessions.runs.lane import RETAIN_S
from midstream.settings.redis_url import Address
from midstream.store.calls import DETECTION_S
from midstream.store.sentinel.primary import LEAST_S, POLL_S
from midstream.store.sentinel.words import Word, newest, read_word

A, B, C = (Address("10.0.0.1", port) for port in (1, 2, 3))

ROWS: list[tuple[str, list[Word], Address | None, Address | None]] = [
    ("nobody has answered yet", [], None, None),
    ("nobody answers any more, and what is used stays", [], A, None),
    ("all agree", [Word(A, 1), Word(A, 1)], None, A),
    ("one knows of a failover that the others do not", [Word(A, 1), Word(A, 1), Word(B, 2)], A, B),
    ("the newest is believed, whatever is used", [Word(A, 1), Word(B, 2)], B, B),
    ("one was set up anew, and is behind", [Word(B, 5), Word(A, 0)], B, B),
    ("all were set up anew", [Word(A, 0), Word(A, 0)], B, A),
    ("they were set up apart: most of them", [Word(A, 0), Word(B, 0), Word(B, 0)], A, B),
    ("they were set up apart, as many for each: what is used", [Word(A, 0), Word(B, 0)], B, B),
    ("they were set up apart, and what is used is neither's", [Word(A, 0), Word(B, 0)], C, A),
]


def test_newest_configuration_says_where_the_primary_is(subtests: pytest.Subtests) -> None:
    for what, words, current, expected in ROWS:
        with subtests.test(what):
            assert newest(words, current) == expected


def test_address_is_paired_with_the_epoch_of_its_configuration() -> None:
    """The Sentinel that leads a failover names the old address beside the new epoch."""
    told = [b"name", b"mine", b"ip", b"10.0.0.1", b"port", b"1", b"config-epoch", b"7"]
    assert read_word(told, [b"10.0.0.1", b"2"]) == Word(B, 7)
    told += [b"down-after-milliseconds", b"5000"]
    assert read_word(told, [b"10.0.0.1", b"2"]).down_after_ms == 5000


@pytest.mark.parametrize(
    ("told", "address"),
    [([b"name", b"mine"], [b"a", b"1"]), ([b"config-epoch", b"7"], None), ([b"name"], [b"a"])],
)
def test_reply_that_names_no_primary_is_refused(told: list[bytes], address: list[bytes]) -> None:
    """A server that is no Sentinel may stand at its address."""
    with pytest.raises(ValueError):
        read_word(told, address)


def test_producers_hold_what_a_planned_failover_loses_twice_over() -> None:
    """Until a failover is noticed, what is stored is lost."""
    promotion_s = 1.0  # a Sentinel asks the replica that it promotes once a second
    assert promotion_s + POLL_S <= DETECTION_S
    assert RETAIN_S >= 2 * DETECTION_S
    assert LEAST_S < POLL_S
