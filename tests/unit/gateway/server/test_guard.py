"""Counting of connections by address."""

from __future__ import annotations

import pytest

from midstream.server.guard import Guard
from midstream.settings.connections import ConnectionSettings

ONE_EACH = ConnectionSettings(max_connections_per_address=1)


@pytest.mark.parametrize(
    ("first", "second", "is_another"),
    [
        ("198.51.100.1", "198.51.100.1", False),
        ("198.51.100.1", "198.51.100.2", True),
        ("2001:db8::1", "2001:db8::2", False),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", True),
        ("::ffff:198.51.100.1", "198.51.100.1", False),
        ("2001:db8::1%eth0", "2001:db8::1", False),
        ("127.0.0.1", "127.0.0.1", True),
        ("10.1.2.3", "10.1.2.3", True),
        ("a name", "a name", False),
    ],
)
def test_guard_counts_by_address(first: str, second: str, *, is_another: bool) -> None:
    """A site of IPv6 is one; proxies in private networks are many."""
    guard = Guard(ONE_EACH)

    assert guard.admit(first)
    assert guard.admit(second) is is_another


def test_guard_has_room_again_when_a_connection_has_gone() -> None:
    """Released once for each that was admitted."""
    guard = Guard(ONE_EACH)
    assert guard.admit("198.51.100.1")
    assert not guard.admit("198.51.100.1")

    guard.release("198.51.100.1")

    assert guard.admit("198.51.100.1")


def test_guard_keeps_to_what_the_machine_allows() -> None:
    """The lower of the two limits; a socket without an address counts as well."""
    guard = Guard(ConnectionSettings(max_connections=10), 1)

    assert guard.admit(None)
    assert not guard.admit(None)


def test_guard_says_once_that_it_refuses(caplog: pytest.LogCaptureFixture) -> None:
    """An operator behind a proxy must learn of it; a flood must not fill the log."""
    guard = Guard(ONE_EACH)
    for _ in range(3):
        guard.admit("198.51.100.1")

    assert [record.getMessage().split()[0] for record in caplog.records] == ["connections_refused"]
