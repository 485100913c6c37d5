"""The one place where other libraries' exceptions become the gateway's ProviderErrors.

What went wrong is first named (`Fault`), by the exception's class, or by what the provider
answered: see `failures.py`. Classes are matched by name along the MRO, so that nothing is
imported here: the SDKs take seconds.
"""

from __future__ import annotations

from contextlib import contextmanager
from enum import Enum
from typing import TYPE_CHECKING, Final

from midstream.providers.failures.faults import Fault, status_fault
from midstream.providers.failures.reported import Told, failure_of, read_failure
from midstream.telemetry import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from midstream.errors import ProviderError

__all__ = ["CLASSES", "Fault", "Unmapped", "classify", "map_provider_errors", "status_fault"]


class Unmapped(Enum):
    """Treatment of a class that has no fault of its own."""

    BY_STATUS = "its `status_code` decides"
    OURS = "a bug of the gateway: it is not translated"


CLASSES: Final[Mapping[str, Fault | Unmapped]] = {
    # The SDKs. Subclasses of APIStatusError need no line: their status decides.
    "anthropic.AnthropicError": Fault.FAILED,
    "anthropic.APIError": Fault.FAILED,
    "anthropic.APIStatusError": Unmapped.BY_STATUS,
    "anthropic.APIConnectionError": Fault.UNREACHABLE,
    "anthropic.APITimeoutError": Fault.SILENT,
    "anthropic.APIResponseValidationError": Fault.BROKEN,
    "anthropic.APIWebhookValidationError": Unmapped.OURS,
    "anthropic.CredentialsError": Fault.CREDENTIALS,
    "anthropic.IdentityTokenFileError": Fault.CREDENTIALS,
    "anthropic.RetryableError": Fault.FAILED,
    "openai.OpenAIError": Fault.FAILED,
    "openai.APIError": Fault.FAILED,
    "openai.APIStatusError": Unmapped.BY_STATUS,
    "openai.APIConnectionError": Fault.UNREACHABLE,
    "openai.APITimeoutError": Fault.SILENT,
    "openai.APIResponseValidationError": Fault.BROKEN,
    "openai.SubjectTokenProviderError": Fault.CREDENTIALS,
    "openai.InvalidWebhookSignatureError": Unmapped.OURS,
    "openai.LengthFinishReasonError": Unmapped.OURS,
    "openai.ContentFilterFinishReasonError": Unmapped.OURS,
    "openai.WebSocketConnectionClosedError": Unmapped.OURS,
    "openai.WebSocketQueueFullError": Unmapped.OURS,
    # httpx2: while the body is read. Before, the SDKs wrap these.
    "httpx2.HTTPError": Fault.FAILED,
    "httpx2.HTTPStatusError": Fault.FAILED,
    "httpx2.RequestError": Fault.LOST,
    "httpx2.TransportError": Fault.LOST,
    "httpx2.NetworkError": Fault.LOST,
    "httpx2.ConnectError": Fault.LOST,
    "httpx2.ReadError": Fault.LOST,
    "httpx2.WriteError": Fault.LOST,
    "httpx2.CloseError": Fault.LOST,
    "httpx2.TimeoutException": Fault.SILENT,
    # Also what openai's aiohttp transport makes of any lost connection.
    "httpx2.ConnectTimeout": Fault.UNREACHABLE,
    "httpx2.ReadTimeout": Fault.SILENT,
    "httpx2.WriteTimeout": Fault.SILENT,
    "httpx2.PoolTimeout": Fault.OVERLOADED,
    "httpx2.ProtocolError": Fault.BROKEN,
    "httpx2.RemoteProtocolError": Fault.BROKEN,
    "httpx2.LocalProtocolError": Unmapped.OURS,
    "httpx2.DecodingError": Fault.BROKEN,
    "httpx2.ProxyError": Fault.UNREACHABLE,
    "httpx2.TooManyRedirects": Fault.MISCONFIGURED,
    "httpx2.UnsupportedProtocol": Fault.MISCONFIGURED,
    "httpx2.InvalidURL": Fault.MISCONFIGURED,
    "httpx2.CookieConflict": Unmapped.OURS,
    "httpx2.StreamError": Unmapped.OURS,
    "httpx2.StreamClosed": Unmapped.OURS,
    "httpx2.StreamConsumed": Unmapped.OURS,
    "httpx2.RequestNotRead": Unmapped.OURS,
    "httpx2.ResponseNotRead": Unmapped.OURS,
    # aiohttp: what the SDKs' aiohttp transport lets through.
    "aiohttp.ClientError": Fault.FAILED,
    "aiohttp.ClientConnectionError": Fault.LOST,
    "aiohttp.ClientConnectionResetError": Fault.LOST,
    "aiohttp.ClientOSError": Fault.LOST,
    "aiohttp.ClientConnectorError": Fault.UNREACHABLE,
    "aiohttp.ClientConnectorDNSError": Fault.UNREACHABLE,
    "aiohttp.ClientConnectorSSLError": Fault.UNREACHABLE,
    "aiohttp.ClientConnectorCertificateError": Fault.UNREACHABLE,
    "aiohttp.ClientProxyConnectionError": Fault.UNREACHABLE,
    "aiohttp.ClientHttpProxyError": Fault.UNREACHABLE,
    "aiohttp.ClientSSLError": Fault.UNREACHABLE,
    "aiohttp.UnixClientConnectorError": Fault.UNREACHABLE,
    "aiohttp.ServerConnectionError": Fault.LOST,
    "aiohttp.ServerDisconnectedError": Fault.LOST,
    "aiohttp.ServerFingerprintMismatch": Fault.UNREACHABLE,
    "aiohttp.ServerTimeoutError": Fault.SILENT,
    "aiohttp.ConnectionTimeoutError": Fault.UNREACHABLE,
    "aiohttp.SocketTimeoutError": Fault.SILENT,
    "aiohttp.ClientPayloadError": Fault.LOST,
    "aiohttp.UploadAbortedError": Fault.LOST,
    "aiohttp.ClientResponseError": Fault.BROKEN,
    "aiohttp.ContentTypeError": Fault.BROKEN,
    "aiohttp.TooManyRedirects": Fault.MISCONFIGURED,
    "aiohttp.RedirectClientError": Fault.MISCONFIGURED,
    "aiohttp.InvalidURL": Fault.MISCONFIGURED,
    "aiohttp.InvalidUrlClientError": Fault.MISCONFIGURED,
    "aiohttp.InvalidUrlRedirectClientError": Fault.MISCONFIGURED,
    "aiohttp.NonHttpUrlClientError": Fault.MISCONFIGURED,
    "aiohttp.NonHttpUrlRedirectClientError": Fault.MISCONFIGURED,
    "aiohttp.WSMessageTypeError": Unmapped.OURS,
    "aiohttp.WSServerHandshakeError": Unmapped.OURS,
    # Our own time limits, and what the event loop raises below aiohttp.
    "builtins.TimeoutError": Fault.SILENT,
    "builtins.ConnectionError": Fault.LOST,
}
"""`package.Class` -> what it means. The nearest class of the MRO counts."""


def classify(kind: type[BaseException]) -> tuple[str, Fault | Unmapped] | None:
    """Return the line of `CLASSES` that an exception class falls under, if any."""
    for cls in kind.__mro__:
        key = f"{cls.__module__.partition('.')[0]}.{cls.__name__}"
        if (meaning := CLASSES.get(key)) is not None:
            return key, meaning
    return None


@contextmanager
def map_provider_errors(*, opening: bool = False) -> Iterator[None]:
    """Translate exceptions of the SDKs and their HTTP libraries inside the block.

    Args:
        opening: no part of an answer has come yet: a lost connection is no lost answer.

    Raises:
        ProviderError: of the class and with the sentence of its fault; `retry_after_s` is
            what the provider asked for, and `note` what it said. The cause stays attached.
    """
    try:
        yield
    except Exception as error:
        line = classify(type(error))
        if line is None or line[1] is Unmapped.OURS:
            raise
        raise _translate(error, line[1], opening=opening) from error


def _translate(error: Exception, meaning: Fault | Unmapped, *, opening: bool) -> ProviderError:
    if meaning is Unmapped.BY_STATUS:
        return _refused(error)
    below = _of_the_transport(error)
    line = classify(type(below))
    if line is not None and isinstance(line[1], Fault):
        meaning = line[1]
    if opening and meaning is Fault.LOST:
        meaning = Fault.UNREACHABLE
    assert isinstance(meaning, Fault)  # noqa: S101 - the other member is handled above
    translated = meaning.error()
    translated.note = quoted(error=type(below).__name__, message=str(below))
    return translated


def _of_the_transport(error: BaseException) -> BaseException:
    """Return what the HTTP library below the SDK has raised, or the error itself.

    The SDKs' transport over aiohttp makes a `ConnectTimeout` of every connection that is
    refused or lost, which the SDK then reports as a request that timed out.
    """
    below: BaseException | None = error
    while below is not None:
        if type(below).__module__.partition(".")[0] == "aiohttp":
            return below
        below = below.__cause__
    return error


def _refused(error: Exception) -> ProviderError:
    response = getattr(error, "response", None)
    request = getattr(error, "request", None)
    sent: Mapping[str, str] = getattr(request, "headers", {})
    try:
        told = read_failure(response.content)  # type: ignore[union-attr]
    except Exception:
        # It was closed before it was read.
        told = Told(message=str(getattr(error, "message", "")))
    return failure_of(
        told,
        status=int(getattr(error, "status_code", 500)),
        headers=getattr(response, "headers", {}),
        secrets=secrets_in(sent),
    )


def secrets_in(headers: Mapping[str, str]) -> list[str]:
    """Return the keys that a request was made with, from its headers (names in lower case)."""
    values = map(headers.get, ("authorization", "x-api-key", "api-key"))
    return [value.rpartition(" ")[2] for value in values if value]
