"""The AI SDK in Node, which processes the tests' cases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conformance.oracle import AiSdk
from tests.support.node_program import node_program

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def ai_sdk() -> Iterator[AiSdk]:
    """One process for all tests of this worker."""
    with node_program("oracle.mjs") as program:
        yield AiSdk(program)
