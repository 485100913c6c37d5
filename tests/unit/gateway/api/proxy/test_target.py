"""Addresses that a proxied request may reach, and headers that it carries."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstream.api.proxy.target import read_target, request_headers, response_headers
from midstream.errors import InvalidRequestError


def target(path: str | bytes, query: bytes = b"", root: str = "") -> tuple[str, str, str]:
    """Read a request's path, as it was on the wire."""
    raw = path.encode() if isinstance(path, str) else path
    found = read_target({"raw_path": raw, "query_string": query, "root_path": root, "path": ""})
    return found.provider, found.path, found.query


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/proxy/openai/v1/chat/completions", ("openai", "v1/chat/completions", "")),
        ("/proxy/anthropic/v1/messages/", ("anthropic", "v1/messages/", "")),
        (
            "/proxy/openai/v1/models/ft:gpt-5:me::x%20y",
            ("openai", "v1/models/ft:gpt-5:me::x%20y", ""),
        ),
        ("/proxy/openai", ("openai", "", "")),
    ],
)
def test_path_below_the_provider_is_kept_to_the_byte(
    path: str, found: tuple[str, str, str]
) -> None:
    """Encoded characters stay encoded, the slash at the end stays."""
    assert target(path) == found


def test_application_mounted_elsewhere_reads_its_own_part_of_the_path() -> None:
    """The mount point is not part of it."""
    assert target("/gw/proxy/openai/v1/x", root="/gw") == ("openai", "v1/x", "")


@pytest.mark.parametrize(
    "path",
    [
        "/proxy/openai/../anthropic/v1",
        "/proxy/openai/v1/./x",
        "/proxy/openai/v1//x",
        "/proxy//v1/x",
        "/proxy/../x",
        "/proxy/openai/v1/%2e%2e/x",
        "/proxy/openai/v1/%2E./x",
        "/proxy/openai/v1%2fx",
        "/proxy/openai/v1%2Fx",
        "/proxy/openai/v1%5c..%5cx",
        "/proxy/openai/v1\\x",
        "/proxy/openai/v1%252fx",
        "/proxy/openai/v1%0d%0ahost:%20evil/x",
        "/proxy/openai/v1%00/x",
        "/proxy/openai/v1%7f/x",
        "/proxy/openai/v1%zz/x",
        "/proxy/openai/v1%2",
        "/proxy/openai/v1/x y",
        "/proxy/openai/v1/é",
        "/proxy/openai/v1/x#y",
        "/proxy/openai/v1/x?y",
        "http://evil/proxy/openai/v1/x",
        "/elsewhere/openai",
        "//evil/proxy/openai",
    ],
)
def test_path_that_may_mean_another_one_is_refused(path: str) -> None:
    """The provider's servers never see dots, slashes and controls that they could misread."""
    with pytest.raises(InvalidRequestError):
        target(path)


@pytest.mark.parametrize("query", [b"a=\r\nx", b"a= b", b"a=\xff", b"a#b"])
def test_query_that_is_no_query_is_refused(query: bytes) -> None:
    """It stands in a request line."""
    with pytest.raises(InvalidRequestError):
        target("/proxy/openai/v1/x", query)


@given(st.binary(max_size=40))
def test_whatever_the_path_it_stays_below_its_provider(rest: bytes) -> None:
    """No bytes make a part that is empty or dots, nor end the request line."""
    try:
        provider, path, _ = target(b"/proxy/openai/" + rest)
    except InvalidRequestError:
        return
    assert provider == "openai"
    assert path.encode() == rest
    segments = path.split("/")
    assert not {".", ".."} & set(segments)
    assert "" not in segments[:-1]
    assert path.isprintable() and " " not in path and path.isascii()


def test_headers_of_this_hop_and_of_ours_stay_here() -> None:
    """And what `connection` names, but never the body's length."""
    sent = [
        (b"host", b"gw"),
        (b"connection", b"x-a, content-length"),
        (b"x-a", b"1"),
        (b"content-length", b"3"),
        (b"cookie", b"a=b"),
        (b"x-midstream-key", b"secret"),
        (b"x-forwarded-host", b"evil"),
        (b"authorization", b"Bearer mine"),
        (b"accept", b"a"),
        (b"accept", b"b"),
    ]
    assert request_headers(sent) == [
        (b"content-length", b"3"),
        (b"authorization", b"Bearer mine"),
        (b"accept", b"a"),
        (b"accept", b"b"),
    ]


def test_header_that_is_not_utf8_is_refused() -> None:
    """It could not be sent as it is."""
    with pytest.raises(InvalidRequestError):
        request_headers([(b"x-odd", b"\xff")])


def test_length_of_a_chunked_answer_is_not_passed_on() -> None:
    """Two lengths of one body are how responses are smuggled."""
    answered = [(b"Transfer-Encoding", b"chunked"), (b"Content-Length", b"3"), (b"X-A", b"1")]
    assert response_headers(answered) == [(b"X-A", b"1")]
