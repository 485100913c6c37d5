"""Exceptions of other libraries become the gateway's errors, in one place and without a leak."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp.client_exceptions
import anthropic
import httpx2
import openai
import pytest

from midstream.errors import (
    GatewayError,
    ProviderError,
    ProviderRateLimitedError,
    ProviderRejectedError,
    ProviderUnavailableError,
)
from midstream.providers.failures.errors import (
    CLASSES,
    Fault,
    Unmapped,
    classify,
    map_provider_errors,
    status_fault,
)

if TYPE_CHECKING:
    from types import ModuleType

SECRET = "sk-live-and-the-prompt"  # noqa: S105
LIBRARIES = {
    "anthropic": anthropic._exceptions,
    "openai": openai._exceptions,
    "httpx2": httpx2._exceptions,
    "aiohttp": aiohttp.client_exceptions,
}


def exceptions_of(module: ModuleType) -> list[type[Exception]]:
    return [
        kind
        for kind in vars(module).values()
        if isinstance(kind, type)
        and issubclass(kind, Exception)
        and not issubclass(kind, Warning)
        and kind.__module__.startswith(module.__name__.partition(".")[0])
    ]


@pytest.mark.parametrize("library", LIBRARIES)
def test_every_exception_class_of_a_library_has_its_own_line(library: str) -> None:
    """A release that adds a class fails here, so that somebody decides what it means."""
    unmapped = []
    for kind in exceptions_of(LIBRARIES[library]):
        line = classify(kind)
        decided_by_status = line is not None and line[1] is Unmapped.BY_STATUS
        if not decided_by_status and (line is None or line[0] != f"{library}.{kind.__name__}"):
            unmapped.append(kind)
    assert unmapped == []


@pytest.mark.parametrize("library", LIBRARIES)
def test_every_line_names_a_class_that_exists(library: str) -> None:
    """A class that a release drops leaves no line behind."""
    lines = {key for key in CLASSES if key.startswith(f"{library}.")}
    names = {f"{library}.{kind.__name__}" for kind in exceptions_of(LIBRARIES[library])}
    assert lines - names == set()


@pytest.mark.parametrize("fault", Fault)
def test_sentence_says_what_failed_and_what_to_do(fault: Fault) -> None:
    """Every fault has a sentence that can be shown as it is."""
    error = fault.error(retry_after_s=2.0)
    assert error.message.startswith("unable to ")
    assert error.retry_after_s == 2.0


def status_error(status: int, **headers: str) -> anthropic.APIStatusError:
    request = httpx2.Request("POST", f"https://example.org/{SECRET}")
    response = httpx2.Response(status, request=request, headers=headers)
    return anthropic.APIStatusError(SECRET, response=response, body={"error": SECRET})


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, ProviderRejectedError),
        (401, ProviderRejectedError),
        (402, ProviderRejectedError),
        (403, ProviderRejectedError),
        (404, ProviderRejectedError),
        (408, ProviderUnavailableError),
        (413, ProviderRejectedError),
        (418, ProviderRejectedError),
        (429, ProviderRateLimitedError),
        (500, ProviderUnavailableError),
        (504, ProviderUnavailableError),
        (529, ProviderRateLimitedError),
        (599, ProviderUnavailableError),
    ],
)
def test_status_decides_and_nothing_of_the_provider_is_told(
    status: int, kind: type[ProviderError]
) -> None:
    """The error of an HTTP failure depends on its status alone."""
    with pytest.raises(kind) as raised, map_provider_errors():
        raise status_error(status)
    assert SECRET not in raised.value.message
    assert raised.value.message == status_fault(status).error().message


@pytest.mark.parametrize(
    ("header", "value", "seconds"),
    [("retry-after", "7", 7.0), ("retry-after-ms", "1500", 1.5), ("retry-after", "-3", 0.0)],
)
def test_retry_after_is_passed_on(header: str, value: str, seconds: float) -> None:
    """The provider's delay reaches clients that may wait."""
    with pytest.raises(ProviderRateLimitedError) as raised, map_provider_errors():
        raise status_error(429, **{header: value})
    assert raised.value.retry_after_s == seconds


def test_retry_after_as_a_date_counts_as_none() -> None:
    """A date there is not worth a parser."""
    with pytest.raises(ProviderRateLimitedError) as raised, map_provider_errors():
        raise status_error(429, **{"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"})
    assert raised.value.retry_after_s is None


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (httpx2.ReadError(SECRET), Fault.LOST),
        (httpx2.ReadTimeout(SECRET), Fault.SILENT),
        (TimeoutError(SECRET), Fault.SILENT),
        (ConnectionResetError(SECRET), Fault.LOST),
        (aiohttp.ClientPayloadError(SECRET), Fault.LOST),
        (anthropic.CredentialsError(SECRET), Fault.CREDENTIALS),
        (openai.OpenAIError(SECRET), Fault.FAILED),
    ],
)
def test_exception_becomes_the_error_of_its_fault(error: Exception, fault: Fault) -> None:
    """The class decides; the cause stays attached for the log."""
    with pytest.raises(ProviderError) as raised, map_provider_errors():
        raise error
    assert raised.value.message == fault.error().message
    assert raised.value.__cause__ is error


@pytest.mark.parametrize("error", [httpx2.ResponseNotRead(), ValueError("x"), KeyError("x")])
def test_bugs_of_ours_pass_as_they_are(error: Exception) -> None:
    """A bug of the gateway is not blamed on the provider."""
    with pytest.raises(type(error)) as raised, map_provider_errors():
        raise error
    assert raised.value is error


def test_errors_of_the_gateway_pass_as_they_are() -> None:
    """A translated error is not translated again."""
    error = Fault.LOST.error()
    with pytest.raises(GatewayError) as raised, map_provider_errors():
        raise error
    assert raised.value is error


def test_a_subclass_that_is_not_listed_counts_as_its_nearest_base() -> None:
    """An SDK's narrower error of tomorrow is still a provider's error today."""

    class NewerTimeoutError(anthropic.APITimeoutError):
        pass

    assert classify(NewerTimeoutError) == ("anthropic.APITimeoutError", Fault.SILENT)
