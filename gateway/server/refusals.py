"""Errors of the server itself, and their responses as bytes."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from midstream.api.failures import RETRY_AFTER_S, error_body
from midstream.errors import ClientError, GatewayError, InvalidRequestError


class HeadTooLargeError(ClientError):
    """The head of a request is over its limit, in bytes or in fields."""

    code = "head_too_large"
    http_status = 431


class TargetTooLongError(ClientError):
    """The path of a request, with its query, is over its limit."""

    code = "target_too_long"
    http_status = 414


class RequestTimeoutError(ClientError):
    """A request is incomplete at its deadline."""

    code = "request_timeout"
    http_status = 408
    temporary = True


class TooManyConnectionsError(GatewayError):
    """The process, or the client's address, is at its limit of connections."""

    code = "too_many_connections"
    http_status = 503
    temporary = True


def malformed() -> InvalidRequestError:
    """Return the error for bytes that are not HTTP."""
    return InvalidRequestError("unable to read the request; it is not HTTP/1.1")


def trailers_refused() -> InvalidRequestError:
    """Return the error for trailers."""
    return InvalidRequestError("unable to accept trailers; send these fields in the head")


def pipelined_refused() -> InvalidRequestError:
    """Return the error for too many pipelined requests."""
    return InvalidRequestError("unable to accept so many pipelined requests; wait for the answers")


_CLOSE: Final = (
    b"content-type: application/json\r\ncache-control: no-store\r\nconnection: close\r\n"
)


def refusal(error: GatewayError) -> bytes:
    """Return a whole response, after which the connection is closed."""
    body = error_body(error)
    status = HTTPStatus(error.http_status)
    retry = b"retry-after: %b\r\n" % RETRY_AFTER_S.encode() if status == 503 else b""
    return b"HTTP/1.1 %d %b\r\n%b%bcontent-length: %d\r\n\r\n%b" % (
        status,
        status.phrase.encode(),
        _CLOSE,
        retry,
        len(body),
        body,
    )
