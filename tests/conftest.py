"""For every test: nothing of the machine's own configuration, and an event loop kept free."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

import pytest
from blockbuster import blockbuster_ctx
from hypothesis import settings

from midstream.telemetry import LineFormatter
from tests.support.forked import end_template

if TYPE_CHECKING:
    from collections.abc import Iterator

_FOREIGN = ("MIDSTREAM_", "REDIS_", "ANTHROPIC_", "OPENAI_")

# At import, so that fixtures and child processes of any scope see none of it.
for _name in [name for name in os.environ if name.startswith(_FOREIGN)]:
    del os.environ[_name]

# Durations depend on what else the machine does; a hang is pytest-timeout's to find.
settings.register_profile("midstream", deadline=None)
settings.load_profile("midstream")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Tests marked `anyio` run on asyncio, the only loop that the gateway knows."""
    return "asyncio"


@pytest.fixture(autouse=True)
def _event_loop_never_blocks() -> Iterator[None]:
    """A blocking call of ours on the event loop raises at its line."""
    with blockbuster_ctx(["midstream"]):
        yield


@pytest.fixture(autouse=True)
def _logging_stays_as_it_was() -> Iterator[None]:
    """A command that a test runs in this process sets levels and a handler for all later tests."""
    loggers = [logging.getLogger(name) for name in (None, "midstream", "uvicorn")]
    levels = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)
    root = loggers[0]
    root.handlers[:] = [
        handler for handler in root.handlers if not isinstance(handler.formatter, LineFormatter)
    ]


def pytest_sessionfinish() -> None:
    """End the template of forked processes, before this one does."""
    end_template()
