"""The address that counts for the limits, behind any number of proxies."""

from __future__ import annotations

import pytest

from midstream.limits.addresses import Addresses, named_proxies
from midstream.settings.connections import ConnectionSettings

EDGE = ("10.0.0.0/8", "2001:db8:ed9e::/48", "192.0.2.1")


@pytest.mark.parametrize(
    ("proxies", "peer", "forwarded_for", "expected"),
    [
        ((), "203.0.113.7", None, "203.0.113.7"),
        ((), "127.0.0.1", "203.0.113.7", "127.0.0.1"),
        (EDGE, "203.0.113.7", "198.51.100.1", "203.0.113.7"),
        (EDGE, "10.1.2.3", "203.0.113.7", "203.0.113.7"),
        (EDGE, "10.1.2.3", "198.51.100.1, 203.0.113.7", "203.0.113.7"),
        (EDGE, "10.1.2.3", "198.51.100.1, 203.0.113.7, 10.9.9.9", "203.0.113.7"),
        (EDGE, "192.0.2.1", "203.0.113.7:5678", "203.0.113.7"),
        (EDGE, "10.1.2.3", "[2001:db8:1:2:3::4]:443", "2001:db8:1:2::/64"),
        (EDGE, "2001:db8:ed9e::1", "203.0.113.7", "203.0.113.7"),
        (EDGE, "::ffff:10.1.2.3", "203.0.113.7", "203.0.113.7"),
        (EDGE, "10.1.2.3", "unknown", "10.1.2.3"),
        (EDGE, "10.1.2.3", "203.0.113.7, unknown", "10.1.2.3"),
        (EDGE, "10.1.2.3", None, "10.1.2.3"),
        (EDGE, "10.1.2.3", "10.4.5.6, 10.7.8.9", "10.4.5.6"),
        ((), "2001:db8:1:2:3::4", None, "2001:db8:1:2::/64"),
        ((), "2001:db8:1:2:ffff::", None, "2001:db8:1:2::/64"),
        ((), None, None, "local"),
        (EDGE, None, "203.0.113.7", "203.0.113.7"),
        ((), "testclient", None, "testclient"),
    ],
)
def test_address_is_the_last_that_no_named_proxy_has(
    proxies: tuple[str, ...], peer: str | None, forwarded_for: str | None, expected: str
) -> None:
    """Entries before it may be forged; without named proxies, the whole header may."""
    assert Addresses(proxies).of(peer, forwarded_for) == expected


def test_header_that_is_not_believed_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """An operator behind a proxy learns why everybody shares a limit."""
    addresses = Addresses()
    for _ in range(2):
        addresses.of("10.1.2.3", "203.0.113.7")
    assert [r.getMessage().split()[0] for r in caplog.records] == ["forwarded_for_unused"]


def test_private_networks_of_the_default_name_no_proxy() -> None:
    """Anybody in them could say whatever address they like."""
    assert list(named_proxies(ConnectionSettings())) == []
    assert list(named_proxies(ConnectionSettings(trusted_proxies=EDGE))) == list(EDGE)
