"""The listening sockets: what accepted connections inherit."""

from __future__ import annotations

import socket

import pytest

from midstream.errors import SettingsError
from midstream.process.serve import SEND_BUFFER_BYTES, address_of, bind
from midstream.settings.sections import ServerSettings, Settings


def settings(**server: object) -> Settings:
    return Settings(server=ServerSettings(**{"port": 0, **server}))  # type: ignore[arg-type]


def test_connection_holds_a_bounded_send_buffer_and_is_dropped_when_stuck() -> None:
    """The kernel would take 4 MB for a client that does not read, and keep it for 15 minutes."""
    [listener] = bind(settings(write_deadline_s=7))
    with listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            # Linux doubles what is asked for, for its own bookkeeping.
            size = accepted.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
            assert size <= 2 * SEND_BUFFER_BYTES
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 7000
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_name_with_two_addresses_listens_on_both_at_one_port() -> None:
    """`localhost` is often both families; which one a client tries is its own affair."""
    found = {address[4][0] for address in socket.getaddrinfo("localhost", 0)}
    listeners = bind(settings(host="localhost"))
    try:
        assert {listener.getsockname()[0] for listener in listeners} == found
        assert len({listener.getsockname()[1] for listener in listeners}) == 1
    finally:
        for listener in listeners:
            listener.close()


def test_address_is_shown_as_a_url() -> None:
    """With the port that was taken."""
    [listener] = bind(settings())
    with listener:
        assert address_of(listener) == f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_address_that_cannot_be_had_is_a_wrong_setting() -> None:
    """One sentence, and what to do."""
    [taken] = bind(settings())
    with taken, pytest.raises(SettingsError, match="--port"):
        bind(settings(port=taken.getsockname()[1]))
