"""Errors of a run that another process reads: from a job queue's result backend, or a pool."""

from __future__ import annotations

import pickle

import pytest

from midstream.client import (
    FencedError,
    KeyReusedError,
    MidstreamError,
    NotAGatewayError,
    RefusedError,
    ReplayMismatchError,
    RunEndedError,
    UnavailableError,
)

ERRORS = [
    MidstreamError("unable to write"),
    UnavailableError("unable to reach a gateway"),
    NotAGatewayError("unable to find a gateway"),
    RefusedError("unable to claim", status=409, code="run_active", details={"runId": "r"}),
    KeyReusedError("another question", status=409, code="key_reused", details={}),
    FencedError(),
    RunEndedError("failed"),
    RunEndedError("interrupted"),
    ReplayMismatchError(7),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_error_is_the_same_in_another_process(error: MidstreamError) -> None:
    """Pickled, or made anew of its arguments."""
    for again in (pickle.loads(pickle.dumps(error)), type(error)(*error.args)):  # noqa: S301 - ours
        assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))
