"""Faults of providers, each with its error's class and the sentence that people read.

Nothing that a provider answered, no key and no address is in a sentence.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

from midstream.errors import (
    ProviderRateLimitedError,
    ProviderRejectedError,
    ProviderUnavailableError,
)

if TYPE_CHECKING:
    from midstream.errors import ProviderError


class Fault(Enum):
    """A fault of a provider: the error's class and its public sentence."""

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
    NO_STREAM = (
        ProviderUnavailableError,
        "unable to get an answer, what came from the model provider's address is none; try again, "
        "and if it stays so, the operator must check the address",
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
        "unable to use the model provider, its quota is used up or its account has a billing "
        "problem; the operator must check the account",
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
    TOO_LONG = (
        ProviderRejectedError,
        "unable to answer, this conversation is too long for the model; begin a new chat, "
        "or send less at once",
    )
    GONE = (
        ProviderRejectedError,
        "unable to resume the answer, the model provider does not have it any more; send it again",
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
