"""Opening of a step: retries of its provider are reported to the reader."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from midstream.protocol.codec import data_chunk
from midstream.protocol.json_values import encode_json
from midstream.providers.failures.retries import Retry, told_of_retries

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from contextlib import AbstractAsyncContextManager

    from midstream.aio.entered import Entered
    from midstream.protocol.chunks import AnyChunk
    from midstream.providers.base import StepStream


class StepOpening:
    """One step that is being opened.

    Attributes:
        stream: the step, once `retries` has ended.

    Args:
        step: to be entered.
        entered: closes it.
    """

    stream: StepStream

    def __init__(self, step: AbstractAsyncContextManager[StepStream], entered: Entered) -> None:
        self._step = step
        self._entered = entered
        self._retries: list[Retry] = []
        self._told = asyncio.Event()

    async def retries(self) -> AsyncGenerator[AnyChunk]:
        """Yield a transient `data-status` for each retry, until the step is open.

        Raises:
            ProviderError: it cannot be opened; see `Provider.open_step`.
        """
        with told_of_retries(self._tell):
            entering = asyncio.create_task(self._entered.enter(self._step), name="open step")
        entering.add_done_callback(lambda _: self._told.set())
        try:
            while not entering.done():
                await self._told.wait()
                self._told.clear()
                while self._retries:
                    yield status_of(self._retries.pop(0))
            self.stream = entering.result()
        finally:
            entering.cancel()
            await asyncio.gather(entering, return_exceptions=True)

    def _tell(self, retry: Retry) -> None:
        self._retries.append(retry)
        self._told.set()


def status_of(retry: Retry) -> AnyChunk:
    """Return a retry as a transient chunk, for the readers of the moment."""
    params: dict[str, object] = {"status": retry.status}
    when = "asking again"
    if retry.after_s is not None:
        params["retryInMs"] = round(retry.after_s * 1000)
        when = f"asking again in {max(1, round(retry.after_s))} s"
    what = "is busy" if retry.status == 429 else "refused the request"
    said = {
        "code": "provider_retry",
        "params": params,
        "text": f"The provider {what} ({retry.status}); {when}.",
    }
    return data_chunk("status", encode_json(said), transient=True)
