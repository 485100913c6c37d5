"""The gateway that users start in their tests."""

from __future__ import annotations

import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from midstream.testing import gateway
from tests.support.recipes import pasted

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_gateway_of_a_test_ends_with_its_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the recipe of docs/agents.md, whatever the settings of this machine say."""
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")
    recipe = pasted("docs/agents.md", "test_answers", monkeypatch)
    urls: list[str] = []

    @contextmanager
    def noted() -> Iterator[str]:
        with gateway() as url:
            urls.append(url)
            yield url

    recipe.gateway = noted
    recipe.test_answer_is_written()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"{urls[0]}/readyz", timeout=5)  # noqa: S310


def test_gateway_that_cannot_start_says_why() -> None:
    """In its own words."""
    with (
        pytest.raises(RuntimeError, match=r"(?s)unable to start a gateway;.*no_such"),
        gateway("[server]\nno_such_setting = 1"),
    ):
        pass
