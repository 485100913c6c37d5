"""Notes about retries before the answer: only those that the SDK will make."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import httpx2
import pytest

from midstream.agents.model.opening import StepOpening, status_of
from midstream.aio.entered import Entered
from midstream.errors import ProviderRateLimitedError
from midstream.protocol.codec import encode
from midstream.providers.failures.retries import Retry, retry_hooks, retry_of, told_of_retries

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from midstream.providers.base import StepStream


def refusal(status: int, retry: str = "0", **headers: str) -> httpx2.Response:
    request = httpx2.Request("POST", "http://p/", headers={"x-stainless-retry-count": retry})
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx2.Response(status, headers=named, request=request)


def test_retry_is_told_as_the_sdk_makes_it() -> None:
    """The refusals, the number and the delays of `_base_client.py` in both SDKs."""
    table = [
        (refusal(429, retry_after="5"), Retry(429, 5.0)),
        (refusal(429, retry_after="5", retry_after_ms="250"), Retry(429, 0.25)),
        (refusal(429, retry_after="61"), Retry(429, None)),
        (refusal(429, retry_after="Wed, 21 Oct 2026 07:28:00 GMT"), Retry(429, None)),
        (refusal(503, "1"), Retry(503, None)),
        (refusal(529), Retry(529, None)),
        (refusal(503, "2"), None),
        (refusal(400), None),
        (refusal(400, x_should_retry="true"), Retry(400, None)),
        (refusal(503, x_should_retry="false"), None),
        (httpx2.Response(503, request=httpx2.Request("POST", "http://p/")), None),
    ]
    for response, expected in table:
        assert retry_of(response, 2) == expected


async def refuse(status: int) -> None:
    """Be an SDK's client that is refused once."""
    (look,) = retry_hooks(2)["response"]
    await look(refusal(status, retry_after="5"))


def test_retry_is_told_to_the_one_who_waits_for_that_request() -> None:
    """Not to others that are under way in the same process."""
    heard: dict[str, list[Retry]] = {"a": [], "b": []}

    async def wait(name: str, status: int) -> None:
        with told_of_retries(heard[name].append):
            await asyncio.create_task(refuse(status))

    async def main() -> None:
        await asyncio.gather(wait("a", 429), wait("b", 503), refuse(500))

    asyncio.run(main())
    assert heard == {"a": [Retry(429, 5.0)], "b": [Retry(503, 5.0)]}


@asynccontextmanager
async def refused_once(fails: bool = False) -> AsyncIterator[StepStream]:
    await refuse(429)
    await asyncio.sleep(0)
    if fails:
        raise ProviderRateLimitedError("unable to answer")
    yield cast("StepStream", "the step")


async def open_it(step: Any) -> tuple[list[bytes], Any]:
    async with Entered() as entered:
        opening = StepOpening(step, entered)
        said = [encode(chunk) async for chunk in opening.retries()]
        return said, opening.stream


def test_waiting_person_reads_that_the_provider_was_busy() -> None:
    """With a code and its parameters, for pages in other languages; and then there is the step."""
    said, stream = asyncio.run(open_it(refused_once()))
    assert stream == "the step"
    (status,) = said
    assert b'"transient":true' in status
    for part in (b"is busy (429); asking again in 5 s", b'"provider_retry"', b'"retryInMs":5000'):
        assert part in status


def test_step_that_cannot_be_opened_fails_after_what_was_said() -> None:
    """The provider's error is the one that the run ends with."""
    with pytest.raises(ProviderRateLimitedError):
        asyncio.run(open_it(refused_once(fails=True)))


def test_step_that_is_left_while_it_opens_is_let_go() -> None:
    """Stopped while the provider is waited for: nothing stays open."""
    left: list[str] = []

    @asynccontextmanager
    async def slow() -> AsyncIterator[StepStream]:
        try:
            await refuse(429)
            await asyncio.Event().wait()
            yield cast("StepStream", "never")
        finally:
            left.append("closed")

    async def main() -> None:
        async with Entered() as entered:
            retries = StepOpening(slow(), entered).retries()
            await anext(retries)
            await retries.aclose()

    asyncio.run(main())
    assert left == ["closed"]


def test_refusal_of_unknown_length_names_none() -> None:
    """A wait that nobody knows is not made up."""
    said = encode(status_of(Retry(503, None)))
    assert b"refused the request (503); asking again." in said
    assert b"retryInMs" not in said
