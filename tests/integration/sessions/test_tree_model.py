"""Two gateways edit, regenerate, select and delete: snapshot, feed and prompt are one tree."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from midstream.errors import InvalidRequestError, MessageNotFoundError
from midstream.ids import MessageId, SessionId
from midstream.protocol.chunks import (
    FinishStepChunk,
    StartStepChunk,
    TextDeltaChunk,
    TextEndChunk,
    TextStartChunk,
)
from midstream.protocol.messages import UIMessage
from midstream.sessions import open_sessions
from midstream.sessions.types import FeedEvent
from midstream.store.records import Trigger
from midstream.store.redis.store import RedisStore
from tests.integration.sessions.test_branches import text_of
from tests.integration.sessions.tree_model import Client, Tree
from tests.support.played import ALICE, FAST, Reading, Script, send, user_message
from tests.support.processes import eventually

if TYPE_CHECKING:
    from midstream.sessions.service import Sessions
    from midstream.sessions.types import StartRequest

EXAMPLES, STEPS = 40, 25
LIMIT_S = 30.0
KINDS = [
    "send", "send", "send as a list", "edit", "edit in place", "regenerate", "select", "select",
    "select", "delete",
]  # fmt: skip
STEP = st.tuples(
    st.sampled_from(KINDS),
    st.integers(0, 1),
    st.integers(0, 40),
    st.sampled_from([True] * 5 + [False]),
)
"""What is done; at which gateway; to which message; whether the answer says anything."""

_sessions = count()


class Walk:
    """One session, its model, and a tab at each gateway."""

    def __init__(self, script: Script, gateways: list[Sessions]) -> None:
        self.session = SessionId(f"tree-{next(_sessions)}")
        self.tree = Tree()
        self.script = script
        self.gateways = gateways
        self.tabs = [Client(partial(self._snapshot, gateway)) for gateway in gateways]
        self.names = count(1)
        self.selected = 0

    async def step(self, kind: str, at: int, pick: int, speaks: bool) -> None:
        """Do one thing, and look at everything."""
        shown = self.tree.shown
        known = sorted(self.tree.nodes)
        if not known or kind.startswith("send"):
            place = self._place(kind, pick)
            await self._send(at, place, speaks)
        elif kind == "select":
            wanted = [*known, *sorted(self.tree.deleted), "nowhere"]
            await self._select(at, wanted[pick % len(wanted)])
        elif kind == "delete":
            await self._delete(at, known[pick % len(known)])
        elif kind == "regenerate":
            await self._regenerate(at, known[pick % len(known)], speaks)
        elif asked := [name for name in shown if self.tree.nodes[name].by_person]:
            await self._edit(at, asked[pick % len(asked)], speaks, in_place="in place" in kind)
        await self._look(kind)

    # -- what people do ---------------------------------------------------------------------

    def _place(self, kind: str, pick: int) -> str | None:
        """Return the message that a new one follows: the end, or the end of any list."""
        if kind != "send as a list" or not self.tree.nodes:
            return self.tree.head
        return sorted(self.tree.nodes)[pick % len(self.tree.nodes)]

    async def _send(self, at: int, parent: str | None, speaks: bool) -> None:
        name, text = f"u{next(self.names)}", f"said {next(self.names)}"
        new = user_message(name, text)
        if parent == self.tree.head:
            head = None if parent is None else MessageId(parent)
            request = send(self.session, new, parent_id=head, head=head)
        else:
            earlier = [user_message(each, "of a client") for each in self.tree.path(parent)]
            request = send(self.session, *earlier, new)
        self.tree.ask(name, text, parent)
        await self._answered(at, request, name, speaks)

    async def _edit(self, at: int, name: str, speaks: bool, *, in_place: bool) -> None:
        parent, head = self.tree.nodes[name].parent, self.tree.head
        if not in_place:
            new = f"u{next(self.names)}"
            text = f"other than {name}, {new}"
            request = send(
                self.session,
                user_message(new, text),
                parent_id=None if parent is None else MessageId(parent),
                head=None if head is None else MessageId(head),
            )
            at_end = parent == head
            self.tree.ask(new, text, head if at_end else parent)
            return await self._answered(at, request, new, speaks)
        text = f"edited {next(self.names)}"
        before = set(self.tree.nodes)
        request = send(self.session, user_message(name, text), message_id=MessageId(name))
        reading = Reading(await self.gateways[at].start(ALICE, request))
        run = await self.script.next()
        (versions,) = [
            of.ids
            for id_, of in (
                await self.gateways[1 - at].snapshot(ALICE, self.session)
            ).branches.items()
            if id_ == name
        ]
        (kept,) = set(versions) - before
        self.tree.edit(name, text, kept)
        await self._end(reading, run, name, speaks)
        return None

    async def _regenerate(self, at: int, name: str, speaks: bool) -> None:
        question = self.tree.question_of(name)
        request = send(
            self.session,
            user_message(name, "of a client"),
            trigger=Trigger.REGENERATE,
            message_id=MessageId(name),
        )
        if question is None:
            with pytest.raises(InvalidRequestError):
                await self.gateways[at].start(ALICE, request)
            return
        self.tree.head = question
        await self._answered(at, request, question, speaks)

    async def _answered(self, at: int, request: StartRequest, question: str, speaks: bool) -> None:
        reading = Reading(await self.gateways[at].start(ALICE, request))
        await self._end(reading, await self.script.next(), question, speaks)

    async def _end(self, reading: Reading, run: Any, question: str, speaks: bool) -> None:
        """Look at the prompt, and answer; or be stopped before the first word."""
        assert [text_of(each) for each in run.request.history] == self.tree.prompt(question)
        if not speaks:
            await self.gateways[0].stop(ALICE, self.session)
            (started, *_) = await reading.end()
            self.tree.answer(str(started["messageId"]), "", question)
            return
        text = f"answer {next(self.names)}"
        run.say(StartStepChunk(), TextStartChunk(id="t"), TextDeltaChunk(id="t", delta=text))
        run.say(TextEndChunk(id="t"), FinishStepChunk())
        run.finish()
        chunks = await reading.end()
        self.tree.answer(str(chunks[0]["messageId"]), text, question)

    async def _select(self, at: int, name: str) -> None:
        if name not in self.tree.nodes:
            with pytest.raises(MessageNotFoundError):
                await self.gateways[at].select(ALICE, self.session, MessageId(name))
            return
        self.selected += name not in self.tree.shown
        self.tree.select(name)
        for gateway in (self.gateways[at], self.gateways[1 - at]):
            head = await gateway.select(ALICE, self.session, MessageId(name))
            assert head == self.tree.head

    async def _delete(self, at: int, name: str) -> None:
        self.tree.delete(name)
        await self.gateways[at].delete(ALICE, self.session, MessageId(name))

    # -- what everybody sees ----------------------------------------------------------------

    async def _look(self, kind: str) -> None:
        """Compare both gateways' snapshots and both tabs with the model."""
        shown, versions = self.tree.shown, self.tree.versions()
        for gateway, tab in zip(self.gateways, self.tabs, strict=True):
            snapshot = await gateway.snapshot(ALICE, self.session)
            messages = [UIMessage.parse(each).id for each in snapshot.messages]
            assert messages == shown, (kind, messages, shown, self.tree)
            assert {id_: list(of.ids) for id_, of in snapshot.branches.items()} == versions
            assert all(of.ids[of.index] == id_ for id_, of in snapshot.branches.items())
            await eventually(
                partial(tab.shows, shown, versions),
                f"a tab shows {shown} with {versions} after: {kind}",
                limit_s=LIMIT_S,
            )

    async def _snapshot(self, gateway: Sessions) -> Any:
        return msgspec.json.decode(msgspec.json.encode(await gateway.snapshot(ALICE, self.session)))

    async def follow(self, at: int) -> None:
        """Be a tab."""
        async with await self.gateways[at].follow(ALICE, self.session, None) as reader:
            async for event in reader:
                if isinstance(event, FeedEvent) and event.event != "presence":
                    await self.tabs[at].take(event)


async def walk(url: str, steps: list[tuple[str, int, int, bool]]) -> None:
    """Go these steps in a session of its own."""
    script = Script()
    async with AsyncExitStack() as stack:
        gateways = []
        for _ in range(2):
            store = await stack.enter_async_context(RedisStore.connect(url))
            gateways.append(await stack.enter_async_context(open_sessions(store, script, FAST)))
        walking = Walk(script, gateways)
        tabs = [asyncio.create_task(walking.follow(at), name=f"tab {at}") for at in range(2)]
        try:
            for step in steps:
                await walking.step(*step)
        finally:
            for tab in tabs:
                tab.cancel()
            ends = await asyncio.gather(*tabs, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError) for end in ends), ends


@pytest.mark.timeout(300)
def test_snapshot_feed_and_prompt_are_one_tree_whatever_two_gateways_do(redis_url: str) -> None:
    """Sends, edits, other answers, selections and deletions, in any order."""

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(steps=st.lists(STEP, min_size=4, max_size=STEPS))
    def walks(steps: list[tuple[str, int, int, bool]]) -> None:
        asyncio.run(walk(redis_url, steps))

    walks()
