"""The gateway's own Redis, watched: whatever keeps it from starting, it is tried again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

import pytest

from midstream.errors import SettingsError, StoreError
from midstream.process import serve
from midstream.settings.sections import Settings
from tests.support.processes import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.anyio


class PlayedRedis:
    """An embedded Redis that starts as told: an error in `starts`, or None for one that runs."""

    starts: Iterator[Exception | None]
    url = "unix:///played"

    def __init__(self, *_: object, **__: object) -> None:
        self.pid: int | None = None

    def __enter__(self) -> Self:
        error = next(self.starts)
        if error is not None:
            raise error
        self.pid = 1
        return self

    def __exit__(self, *_: object) -> None:
        self.pid = None


async def test_redis_that_does_not_start_again_is_tried_until_it_does(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A full disk ends: until then the workers serve what they can, and the gateway stays up."""
    failures = [StoreError("it ended"), SettingsError("the folder is in use")]
    PlayedRedis.starts = iter([None, *failures, None])
    monkeypatch.setattr(serve, "EmbeddedRedis", PlayedRedis)
    monkeypatch.setattr(serve, "REDIS_WATCH_S", 0.001)
    monkeypatch.setattr(serve.OwnRedis, "_has_ended", lambda own: own._redis.pid is None)
    with serve.OwnRedis(Settings()) as own:
        keeping = asyncio.create_task(own.keep())
        own._redis.__exit__(None, None, None)
        await eventually(lambda: own._redis.pid is not None, "it is up")
        assert list(PlayedRedis.starts) == []
        assert not keeping.done()
        keeping.cancel()
    said = [message for message in caplog.messages if message.startswith("redis_not_started")]
    assert len(said) == len(failures)
