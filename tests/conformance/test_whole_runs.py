"""Compares whole answers of the gateway with those of a route of the AI SDK.

Both call the same simulated provider.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.conformance.whole_runs import (
    AGENTS,
    ORACLES,
    answer_metadata,
    close_open_parts,
    comparable,
    error_ends_the_run,
    error_sentences,
    finish_after_abort,
    interrupted_is_other,
    lost_connection,
    message_id,
    metadata_before_error,
    rewritten,
    unreadable_last,
)
from tests.support.fixtures import (
    Deployment,
    anyio_backend,
    pytest_runtest_makereport,
    simulator,
    start_deployment,
)
from tests.support.sessions import Transcript

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conformance.oracle import AiSdk
    from tests.support.simulator import Simulator

__all__ = ["anyio_backend", "pytest_runtest_makereport", "simulator"]

pytestmark = pytest.mark.anyio

NO_RETRIES: Final[dict[str, dict[str, object]]] = {
    f"providers.{provider}": {"max_retries": 0} for provider in AGENTS
}


# -- the runs ------------------------------------------------------------------------------

Deviation = "Callable[[list[Chunk]], list[Chunk]]"

GOOD: Final = (message_id, answer_metadata)
FAILED: Final = (message_id, error_ends_the_run, error_sentences, metadata_before_error)
RUNS: Final[dict[str, tuple[Any, ...]]] = {
    "hello [[tokens=3]]": GOOD,
    "[[reasoning=3 tokens=3]]": GOOD,
    "[[refuse]]": GOOD,
    "[[eof after=3]]": (message_id, interrupted_is_other, close_open_parts, answer_metadata),
    "[[error=overloaded after=3]]": (*FAILED, close_open_parts),
    "[[http=500]]": FAILED,
    "[[cut after=3 rate=20]]": (
        message_id,
        lost_connection,
        error_sentences,
        metadata_before_error,
        close_open_parts,
    ),
    "[[malformed after=3 tokens=6]]": (
        message_id,
        unreadable_last,
        error_sentences,
        metadata_before_error,
    ),
}
"""Prompt -> how the gateway's answer differs from the AI SDK's, in this order."""

CHANGES_NOTHING: Final = {("openai-chat", "[[eof after=3]]", close_open_parts)}
"""The AI SDK itself closes the text of Chat Completions."""


@pytest.fixture(scope="module")
def strict(simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A gateway that calls its providers without retries."""
    with ExitStack() as stack:
        made = start_deployment(simulator, tmp_path_factory.mktemp("strict"), stack)
        made.add_gateway(NO_RETRIES)
        yield made


@pytest.mark.parametrize("prompt", RUNS)
@pytest.mark.parametrize("provider", AGENTS)
async def test_run_is_the_ai_sdks_but_for_the_deviations(
    provider: str, prompt: str, strict: Deployment, ai_sdk: AiSdk
) -> None:
    """All chunks are equal, the run's beginning and end included."""
    deviations = [
        deviation
        for deviation in RUNS[prompt]
        if (provider, prompt, deviation) not in CHANGES_NOTHING
    ]
    theirs = ai_sdk.run(ORACLES[provider], strict.simulator.url, prompt)
    ours = await strict.session().send(prompt, extra={"agent": AGENTS[provider]})
    assert comparable(ours.chunks) == rewritten(comparable(theirs), *deviations)


@pytest.mark.parametrize("provider", AGENTS)
async def test_stopped_run_is_the_ai_sdks_but_for_the_deviations(
    provider: str, strict: Deployment, ai_sdk: AiSdk
) -> None:
    """The chunks are equal, except for the amount of text before the stop, which is chance."""
    prompt = "[[tokens=3000 rate=100]]"
    theirs = comparable(ai_sdk.run(ORACLES[provider], strict.simulator.url, prompt, stopAfter=2))
    session, seen = strict.session(), Transcript()
    async with session.sending(prompt, extra={"agent": AGENTS[provider]}) as response:
        stopped = False
        async for chunk in seen.follow(response):
            if chunk["type"] == "text-delta" and not stopped:
                stopped = bool(await session.stop())
    ours = comparable(seen.chunks)
    for chunk in (*theirs, *ours):
        if chunk["type"] == "text-delta":
            chunk["delta"] = "…"
    assert ours == rewritten(theirs, message_id, close_open_parts, finish_after_abort)
