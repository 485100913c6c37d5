"""The start of a run that this process produces."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING

from midstream.errors import AgentNotFoundError
from midstream.ids import MessageId
from midstream.sessions.failover.resume import facts_of
from midstream.sessions.spending import cost_of
from midstream.store.records import Trigger

if TYPE_CHECKING:
    from midstream.agents.base import AgentFinder
    from midstream.sessions.access import Caller
    from midstream.sessions.draining import Draining
    from midstream.sessions.log.hub import Hub
    from midstream.sessions.log.readers import LogReader
    from midstream.sessions.opening.open_run import Admitted, Opening
    from midstream.sessions.reading import Reading
    from midstream.sessions.runs.registry import Runs
    from midstream.sessions.types import RunCost, RunHold, StartRequest
    from midstream.store.records import RunInfo


class Starting:
    """Starts runs for sends: opens them, begins to produce them, and reads them."""

    def __init__(
        self,
        agents: AgentFinder,
        hub: Hub,
        runs: Runs,
        opening: Opening,
        reading: Reading,
        draining: Draining,
    ) -> None:
        self._agents = agents
        self._hub = hub
        self._runs = runs
        self._opening = opening
        self._reading = reading
        self._draining = draining

    def cost(self, request: StartRequest) -> RunCost:
        """Return what a send is thought to cost its caller."""
        with suppress(AgentNotFoundError):  # `start` says so
            return cost_of(request, self._agents.find(request.agent, request.model).traits)
        return cost_of(request)

    async def start(
        self, caller: Caller, request: StartRequest, hold: RunHold | None = None
    ) -> LogReader:
        """Accept a message and return a reader of its run, from the run's first chunk."""
        async with AsyncExitStack() as resources:
            admitted = await self._begin(caller, request, hold, resources)
            view = admitted.view
            told = await self._opening.told_before(view)
            client = request.client if request.request_key is None else None
            return await self._reading.of_own_send(
                view,
                client,
                resources,
                first=told,
                answers=_asks(request, view.info),
                expires_at=caller.expires_at,
            )

    async def begin_entry(
        self, caller: Caller, request: StartRequest, hold: RunHold | None, entry: MessageId
    ) -> bool:
        """Open the run of an entry of the queue that this process has taken.

        Returns:
            False if its message has a run already.
        """
        async with AsyncExitStack() as resources:
            admitted = await self._begin(caller, request, hold, resources, entry)
            # The run's task holds the feed by itself from its first step on.
            await asyncio.sleep(0)
            return admitted.new is not None

    def check(self) -> None:
        """Raise DrainingError once this process shuts down."""
        self._draining.check()

    async def _begin(
        self,
        caller: Caller,
        request: StartRequest,
        hold: RunHold | None,
        resources: AsyncExitStack,
        entry: MessageId | None = None,
    ) -> Admitted:
        """Open a run and begin to produce it, unless it waits; or find it.

        Args:
            resources: holds its feed.
        """
        self._draining.check()
        agent = self._agents.find(request.agent, request.model)
        feed = await resources.enter_async_context(self._hub.attach(request.session_id))
        facts = facts_of(agent, caller, request, hold)
        waiting = facts_of(agent, caller, request, waits=True)
        admitted = await self._opening.open(
            caller, request, agent.name, feed, facts, waiting_facts=waiting, entry=entry
        )
        if admitted.new is not None and not admitted.waits:
            self._runs.begin(admitted.view, admitted.new, request, agent, caller, hold)
        return admitted


def _asks(request: StartRequest, run: RunInfo) -> MessageId:
    """Return the message that the response of a send is about."""
    last = request.messages[-1]
    is_new = last.role == "user" and request.trigger is Trigger.SUBMIT
    return MessageId(last.id) if is_new else run.user_message_id
