"""Runs the examinations of `midstream doctor`, and ends them cleanly at a signal."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Final

from midstream.doctor.report import Report
from midstream.doctor.through import examine_through
from midstream.store.server.examination import examine
from midstream.telemetry import redact_url

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from midstream.settings.sections import Settings

EXIT_INTERRUPTED: Final = 130


def run(
    settings: Settings,
    show: Callable[[str], None],
    *,
    redis_url: str,
    through: str,
    token: str,
    hold_s: float,
    as_json: bool,
) -> int:
    """Examine what is named; return the exit code.

    Args:
        redis_url: empty: no Redis.
        through: the proxy's URL; empty: none.
    """
    report = Report(None if as_json else show)

    async def examined() -> None:
        if redis_url:
            report.begin("redis", redact_url(redis_url))
            timeout_s = settings.redis.command_timeout_s
            prefix = settings.redis.key_prefix
            await examine(redis_url, prefix, report.tell, command_timeout_s=timeout_s)
        if through:
            report.begin("proxy", redact_url(through))
            await examine_through(
                through,
                report.tell,
                token=token,
                hold_s=hold_s,
                max_body_bytes=settings.server.max_body_bytes,
            )

    try:
        asyncio.run(_until_told(examined()))
    except (asyncio.CancelledError, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    report.end()
    if as_json:
        show(report.json())
    return report.exit_code


async def _until_told(examining: Coroutine[None, None, None]) -> None:
    """Run to the end, or until Ctrl-C or SIGTERM, which let what was begun be removed.

    Also where SIGINT was ignored at the start, as in a script's background.
    """
    task = asyncio.create_task(examining, name="doctor")
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    await task
