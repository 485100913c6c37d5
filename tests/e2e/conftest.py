"""What a person does, from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.browser import Browser, Profile, running_browser
from tests.support.fixtures import (
    anyio_backend,
    deployment,
    own_deployment,
    pytest_runtest_makereport,
    simulator,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = [
    "anyio_backend",
    "deployment",
    "own_deployment",
    "pytest_runtest_makereport",
    "simulator",
]


@pytest.fixture(scope="session")
async def browser(
    anyio_backend: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Browser]:
    """A Chromium, for the whole session."""
    async with running_browser(tmp_path_factory.mktemp("browser") / "stderr") as running:
        yield running


@pytest.fixture
async def laptop(browser: Browser) -> AsyncIterator[Profile]:
    """A browser profile of the test's own."""
    profile = browser.profile()
    yield profile
    await profile.close()


@pytest.fixture
async def phone(browser: Browser) -> AsyncIterator[Profile]:
    """Another one."""
    profile = browser.profile()
    yield profile
    await profile.close()
