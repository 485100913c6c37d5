"""The part of the store's contract by which one producer of a run hands it to the next.

The rules of `contract.py` hold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from midstream.ids import RunId, SessionId
    from midstream.store.calls import Recalled, RunKey, Say, SayStatus, TakenOver, WaitStatus


class SessionHandover(Protocol):
    """Leases and waits of runs, and what the next producer needs."""

    async def take_over(
        self,
        session_id: SessionId,
        run_id: RunId,
        lease_ms: int,
        *,
        force: bool = False,
        attempt: int | None = None,
        patience_ms: int | None = None,
    ) -> TakenOver | None:
        """Raise the fence of a run whose lease has expired.

        That is judged by our own clock (`leases.py`), and holds if the lease is the same still.

        Also raises the fence of a run whose wait has expired. That run still waits, for
        `lease_ms`; meanwhile the caller closes it, or claims it for the one who takes the turn.

        Args:
            force: of a run whose lease has not expired too. For who has the run's own key,
                and is its next producer whether or not the last one lives. Not of one that
                waits, which is claimed.
            attempt: the number of the attempt that claims it by force.
            patience_ms: of that attempt; see OpenRun.

        Returns:
            None if it is not ours to take: renewed, ended, gone, or not known for long enough
            to have expired. A stale hint is put right or removed.

        Raises:
            FencedError: a later attempt has claimed it.
        """
        ...

    async def wait(self, key: RunKey, wait_ms: int) -> WaitStatus:
        """Let our run wait for somebody: without producer, lease or process.

        It stays under way until it is claimed or stopped, or until `wait_ms` are over; then the
        reaper of any gateway closes it. Its key is stale: nothing more is appended by it.

        Raises:
            UpgradeNeededError, StoreUnavailableError: ask again; the second answer is the first's.
        """
        ...

    async def claim(
        self, session_id: SessionId, run_id: RunId, claimant: str, lease_ms: int
    ) -> TakenOver | None:
        """Become the producer of a run that waits: the first claimant does.

        Args:
            claimant: the same one may ask again, and gets the same answer, until another producer
                has the run or it waits again.

        Returns:
            None if it does not wait for us: claimed, taken over, ended or gone.
        """
        ...

    async def say(self, request: Say) -> SayStatus:
        """Append a person's message to the path while the main run waits, without another run.

        The run's answer follows the last of these. A claim ends it: what comes after is a send
        like any other.
        """
        ...

    async def expired_waits(self, limit: int) -> list[tuple[SessionId, RunId]]:
        """Return runs whose wait has expired by their hint; verify with `take_over`."""
        ...

    async def remember(self, key: RunKey, point: bytes) -> bool:
        """Keep where a run stands, in place of what was kept before.

        Returns:
            False if the run is not ours any more: fenced, ended or gone.
        """
        ...

    async def recall(self, key: RunKey) -> Recalled | None:
        """Read what is kept for resuming a run; None if it is not ours (any more)."""
        ...

    async def release(self, key: RunKey) -> bool:
        """End a run's lease now, so that another process takes it over at once.

        Returns:
            False if the run is not ours any more.
        """
        ...

    async def expired_leases(
        self, limit: int, *, longest_ms: int | None = None
    ) -> list[tuple[SessionId, RunId]]:
        """Runs whose lease has expired, as far as was seen; verify with `take_over`.

        Call it regularly: it is how leases are watched, and a jump of Redis's clock is noticed.

        Args:
            longest_ms: how long leases are. Hints further ahead are of before the clock went
                back, and looked at too.
        """
        ...
