"""The claim of a run, as its block begins."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import msgspec

from midstream.client.errors import FencedError, MidstreamError, RefusedError
from midstream.client.wire import Claim, Stored

if TYPE_CHECKING:
    from collections.abc import Mapping

    from midstream.client.wire import Gateways

CLAIM_WAIT_S: Final = 15.0
"""Time that a gateway may hold a claim while it waits for the session's stopped run to end."""

CANCELLED_SENTENCE: Final = "The answer was interrupted. Send it again."


class Claiming:
    """Claims one run.

    Args:
        asked: the body of the claim.
        leaves: a claim whose task is cancelled leaves the run to the next attempt.
    """

    def __init__(
        self,
        gateways: Gateways,
        session_id: str,
        asked: Mapping[str, object],
        user: str | None,
        *,
        leaves: bool,
    ) -> None:
        self._gateways = gateways
        self._session_id = session_id
        self._asked = asked
        self._user = user
        self._leaves = leaves

    async def claim(self) -> Claim:
        """Claim the run. If the task is cancelled meanwhile, the claimed run is ended.

        Raises:
            See `Run.open`.
        """
        given_up = asyncio.Event()
        claiming = asyncio.create_task(
            self._gateways.post(
                "/api/agent/runs",
                msgspec.json.encode(self._asked),
                Claim,
                user=self._user,
                held_s=CLAIM_WAIT_S,
                given_up=given_up,
            ),
            name=f"claim {self._session_id}",
        )
        try:
            return await asyncio.shield(claiming)
        except RefusedError as error:
            if error.code == "fenced":
                raise FencedError from error
            raise
        except asyncio.CancelledError:
            given_up.set()
            if self._leaves:
                claiming.cancel()  # the next attempt finds the run, if there is one
            else:
                await self._gateways.see_through(self._withdraw(claiming))
            raise

    def path_of(self, claim: Claim) -> str:
        """Return the address of a claimed run."""
        return f"/api/agent/runs/{quote(self._session_id, safe='')}/{claim.run_id}"

    async def _withdraw(self, claiming: asyncio.Task[Claim]) -> None:
        """End the run of a claim that was cancelled, once the claim is answered."""
        with suppress(MidstreamError):  # there is none; or its lease runs out
            claim = await claiming
            if not claim.fence:
                return
            body: dict[str, object] = {"first": claim.next, "outcome": "stopped"}
            if claim.stopped_by is None:
                body |= {"outcome": "failed", "errorText": CANCELLED_SENTENCE}
            target = f"{self.path_of(claim)}/end?fence={claim.fence}"
            content = msgspec.json.encode(body)
            await self._gateways.post(target, content, Stored, user=self._user)
