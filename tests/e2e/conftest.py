"""Actions of a person, from outside."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.support.browser import Browser, Profile, program_of, running_browser
from tests.support.fixtures import (
    anyio_backend,
    deployment,
    own_deployment,
    pytest_runtest_makereport,
    simulator,
)
from tests.support.frontends import Projects, make_projects

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.support.fixtures import Deployment

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


@pytest.fixture(scope="session")
def projects(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config, deployment: Deployment
) -> Iterator[Projects]:
    """A project for each framework, with the package that a gateway serves."""
    folder = tmp_path_factory.mktemp("frontends")
    assert pytestconfig.cache is not None
    store = pytestconfig.cache.mkdir("frontends")
    yield make_projects(folder / "projects", deployment.gateways[0].at.url, store)
    shutil.rmtree(folder)


@pytest.fixture(
    scope="session",
    params=["firefox", "webkit", pytest.param("chromium", marks=pytest.mark.release)],
)
async def engine(
    request: pytest.FixtureRequest, anyio_backend: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Browser]:
    """A browser of each engine, in turn; all other tests use Chromium."""
    if program_of(request.param) is None:
        pytest.skip(f"no {request.param} here: make says at its end what it left out")
    errors = tmp_path_factory.mktemp(request.param) / "stderr"
    async with running_browser(errors, request.param) as running:
        yield running


@pytest.fixture
async def profile(engine: Browser) -> AsyncIterator[Profile]:
    """A profile of the test's own, in the engine whose turn it is."""
    made = engine.profile()
    yield made
    await made.close()
