"""What a process measures of itself."""

from __future__ import annotations

import math
import time

import pytest

from midstream.errors import StoreUnavailableError
from midstream.sessions.signals.pace import RunPace
from midstream.sessions.signals.tick import MEMORY_TICKS, UNANSWERED_S, SignalTick
from midstream.telemetry import REDIS_MEMORY, UNANSWERED_SENDS, NamedAgents

pytestmark = pytest.mark.anyio


def value(gauge: object) -> float:
    (metric,) = gauge.collect()  # type: ignore[attr-defined]
    return float(metric.samples[0].value)


def begun(seconds_ago: float, *, spoke: bool = False) -> RunPace:
    pace = RunPace()
    pace.began = time.monotonic() - seconds_ago
    pace.first = pace.began if spoke else None
    return pace


async def test_runs_without_a_word_for_half_a_minute_are_unanswered() -> None:
    """One that has spoken may be silent again, and one that has just begun may think."""
    long = 2 * UNANSWERED_S
    paces = [begun(long), begun(long), begun(long, spoke=True), begun(1)]

    async def memory() -> int | None:
        return 4096

    tick = SignalTick(memory, lambda: paces)
    await tick.tick()
    assert value(UNANSWERED_SENDS) == 2
    paces.clear()
    await tick.tick()
    assert value(UNANSWERED_SENDS) == 0


async def test_redis_that_is_away_or_silent_has_no_known_memory() -> None:
    """An old number would look like a server that is well."""
    answers: list[int | StoreUnavailableError | None] = [4096, StoreUnavailableError("away"), None]
    asked = iter(answers)

    async def memory() -> int | None:
        answer = next(asked)
        if isinstance(answer, StoreUnavailableError):
            raise answer
        return answer

    tick = SignalTick(memory, list)
    told = []
    for _ in answers:
        for _ in range(MEMORY_TICKS):
            await tick.tick()
        told.append(value(REDIS_MEMORY))
    assert told[0] == 4096
    assert all(math.isnan(each) for each in told[1:])


def test_no_name_of_a_client_becomes_a_label() -> None:
    """Otherwise anybody could fill the memory of Prometheus."""
    names = NamedAgents()
    names.add("support", ["claude", "gpt"])
    names.add("backend", [])
    assert [names.agent(each) for each in ("support", "", "x" * 99)] == [
        "support",
        "other",
        "other",
    ]
    assert names.model("support", None) == "claude"
    assert names.model("support", "gpt") == "gpt"
    assert names.model("support", "forged") == "other"
    assert names.model("backend", None) == ""
    assert names.model("nobody", "forged") == "other"
