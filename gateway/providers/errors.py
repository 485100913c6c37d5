"""The one place where other libraries' exceptions become the gateway's ProviderErrors.

What went wrong is first named (`Fault`), by the exception's class or by its HTTP status,
never by its text. Each fault has one error class and one sentence: nothing that a provider
answered, no key and no address reaches a client. Classes are matched by name along the MRO,
so that nothing is imported here: the SDKs take seconds.
"""

from __future__ import annotations

from contextlib import contextmanager
from enum import Enum
from typing import TYPE_CHECKING, Final

from gateway.errors import (
    ProviderError,
    ProviderRateLimitedError,
    ProviderRejectedError,
    ProviderUnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Fault(Enum):
    """What can go wrong with a provider: the error's class and its public sentence."""

    UNREACHABLE = (
        ProviderUnavailableError,
        "unable to reach the model provider; try again in a moment",
    )
    SILENT = (
        ProviderUnavailableError,
        "unable to wait any longer for the model provider; try again in a moment",
    )
    LOST = (
        ProviderUnavailableError,
        "unable to read the rest of the answer, the connection to the model provider was lost; "
        "try again",
    )
    EMPTY = (
        ProviderUnavailableError,
        "unable to get an answer, the model provider ended the response without one; try again",
    )
    BROKEN = (
        ProviderUnavailableError,
        "unable to understand what the model provider answered; try again",
    )
    FAILED = (
        ProviderUnavailableError,
        "unable to get an answer, the model provider failed; try again in a moment",
    )
    OVERLOADED = (
        ProviderRateLimitedError,
        "unable to get an answer, the model provider is overloaded; try again in a moment",
    )
    RATE_LIMITED = (
        ProviderRateLimitedError,
        "unable to get an answer, the model provider's rate limit is reached; "
        "try again in a moment",
    )
    CREDENTIALS = (
        ProviderRejectedError,
        "unable to use the model provider, it does not accept the gateway's credentials; "
        "the operator must check the key",
    )
    BILLING = (
        ProviderRejectedError,
        "unable to use the model provider, it reports a billing problem; "
        "the operator must check the account",
    )
    FORBIDDEN = (
        ProviderRejectedError,
        "unable to use the model provider, the gateway's account may not do this; "
        "the operator must check the account",
    )
    NOT_FOUND = (
        ProviderRejectedError,
        "unable to use the model, the provider does not know it; "
        "the operator must check its name and address",
    )
    TOO_LARGE = (
        ProviderRejectedError,
        "unable to send the conversation, it is too large for the model provider; "
        "remove a file or begin a new chat",
    )
    GONE = (
        ProviderRejectedError,
        "unable to go on with the answer, the model provider does not have it any more; "
        "send it again",
    )
    REFUSED = (
        ProviderRejectedError,
        "unable to get an answer, the model provider rejected the request",
    )
    MISCONFIGURED = (
        ProviderRejectedError,
        "unable to make a request to the model provider; the operator must check its settings",
    )

    def error(self, *, retry_after_s: float | None = None) -> ProviderError:
        """Return a new error of this fault."""
        kind: type[ProviderError]
        kind, sentence = self.value
        return kind(sentence, retry_after_s=retry_after_s)


_STATUS_FAULTS: Final[dict[int, Fault]] = {
    401: Fault.CREDENTIALS,
    402: Fault.BILLING,
    403: Fault.FORBIDDEN,
    404: Fault.NOT_FOUND,
    408: Fault.SILENT,
    413: Fault.TOO_LARGE,
    429: Fault.RATE_LIMITED,
    504: Fault.SILENT,
    529: Fault.OVERLOADED,
}


def status_fault(status: int) -> Fault:
    """Return what an HTTP error status means."""
    return _STATUS_FAULTS.get(status, Fault.FAILED if status >= 500 else Fault.REFUSED)


class Unmapped(Enum):
    """What is done with a class that has no fault of its own."""

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
def map_provider_errors() -> Iterator[None]:
    """Translate what the SDKs and their HTTP libraries raise inside the block.

    Raises:
        ProviderError: of the class and with the sentence of its fault; `retry_after_s` is
            what the provider asked for. The cause stays attached, for the log.
    """
    try:
        yield
    except Exception as error:
        line = classify(type(error))
        if line is None or line[1] is Unmapped.OURS:
            raise
        raise _translate(error, line[1]) from error


def _translate(error: Exception, meaning: Fault | Unmapped) -> ProviderError:
    if isinstance(meaning, Fault):
        return meaning.error()
    fault = status_fault(int(getattr(error, "status_code", 500)))
    headers: Mapping[str, str] = getattr(getattr(error, "response", None), "headers", {})
    return fault.error(retry_after_s=_retry_after_s(headers))


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Read `retry-after-ms` or `retry-after`; a date in it is not worth parsing."""
    for name, scale in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers[name]) / scale)
        except (KeyError, ValueError):
            continue
    return None
