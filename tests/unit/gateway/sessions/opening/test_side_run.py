"""Side runs: whom they work for, and what refuses them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
from msgspec import Raw, json
from msgspec.structs import replace

from midstream.errors import (
    ConflictError,
    GatewayError,
    InvalidRequestError,
    ParentEndedError,
    RunActiveError,
    RunNotFoundError,
    SessionNotFoundError,
    SideRunsFullError,
    StoreUnavailableError,
    UpgradeNeededError,
)
from midstream.ids import MessageId, RunId, SessionId, is_side_run
from midstream.protocol.messages import UIMessage
from midstream.protocol.position import Position
from midstream.sessions.log.side_messages import marked_side
from midstream.sessions.opening.side_run import SideOpening
from midstream.sessions.types import NO_ATTEMPT, SessionLimits
from midstream.store.calls import Opened, OpenRun, OpenStatus
from midstream.store.records import LoadedRun, RunInfo, RunState, SessionMeta, Trigger
from tests.support.played import ALICE, send, user_message

if TYPE_CHECKING:
    from midstream.sessions.log.feed import Feed
    from midstream.store.contract import SessionStore

pytestmark = pytest.mark.anyio

S = SessionId("chat-1")
PARENT = RunInfo(
    id=RunId("run_1"),
    state=RunState.OPEN,
    message_id=MessageId("a1"),
    user_message_id=MessageId("u1"),
    trigger=Trigger.SUBMIT,
)
META = SessionMeta(
    id=S,
    owner=ALICE.user,
    tenant=ALICE.tenant,
    position=Position("e", "1-0"),
    title="",
    created_at_ms=0,
    updated_at_ms=0,
    head_message_id=MessageId("u1"),
    active_run_id=PARENT.id,
    last_run_id=PARENT.id,
)
ASKED = replace(send(S, user_message("p1", "look"), request_key="job"), side=True)


class FakeStore:
    """A session with one run; opening is answered with `status`."""

    def __init__(
        self, status: OpenStatus, *, meta: SessionMeta | None = META, known: RunId | None = None
    ) -> None:
        self.status = status
        self.meta = meta
        self.known = known
        self.away = 0
        self.opened: list[OpenRun] = []

    async def load_meta(self, session_id: SessionId) -> SessionMeta | None:
        return self.meta

    async def load(self, session_id: SessionId, *, leaf: MessageId) -> None:
        return None

    async def load_run(self, session_id: SessionId, run_id: RunId) -> LoadedRun | None:
        return LoadedRun(run=PARENT, next=1, opened="1-0") if run_id == PARENT.id else None

    async def run_of_request(self, session_id: SessionId, key: str) -> RunId | None:
        return self.known

    async def open_run(self, request: OpenRun) -> Opened:
        self.opened.append(request)
        if len(self.opened) <= self.away:
            raise StoreUnavailableError("away")
        is_open = self.status is OpenStatus.OPENED
        return Opened(status=self.status, run=request.run if is_open else None, fence=1)


class FakeFeed:
    def adopt(self, run: RunInfo, opened: str) -> Any:
        return run

    async def view_of(self, run_id: RunId) -> Any:
        return replace(PARENT, id=run_id)


async def opening(store: FakeStore, request: Any = ASKED) -> Any:
    side = SideOpening(cast("SessionStore", store), SessionLimits())
    return await side.open(ALICE, request, "worker", cast("Feed", FakeFeed()), attempt=NO_ATTEMPT)


async def test_side_run_works_for_the_main_run_and_hangs_under_its_question() -> None:
    store = FakeStore(OpenStatus.OPENED)
    store.away = 1
    admitted = await opening(store)
    wanted = store.opened[-1]
    prompt = wanted.user_message
    assert prompt is not None
    assert (prompt.id, prompt.parent_id) == ("p1", "u1")
    assert (wanted.run.parent_run_id, wanted.run.user_message_id) == (PARENT.id, "u1")
    assert wanted.run.side
    assert is_side_run(wanted.run.id)
    assert not is_side_run(PARENT.id)
    assert admitted.new.key.run_id == admitted.view.id == wanted.run.id
    assert store.opened[0] == wanted  # asked again, after the answer was lost


async def test_claim_with_a_known_key_finds_its_run() -> None:
    for store in (
        FakeStore(OpenStatus.OPENED, known=RunId("run_side_1")),
        FakeStore(OpenStatus.KNOWN),
    ):
        if store.known is None:
            store.open_run = lambda request: _known()  # type: ignore[method-assign]
        admitted = await opening(store)
        assert (admitted.view.id, admitted.new) == ("run_side_1", None)


async def _known() -> Opened:
    return Opened(status=OpenStatus.KNOWN, run=replace(PARENT, id=RunId("run_side_1")))


REFUSALS: list[tuple[type[GatewayError], FakeStore, dict[str, Any]]] = [
    (SessionNotFoundError, FakeStore(OpenStatus.OPENED, meta=None), {}),
    (UpgradeNeededError, FakeStore(OpenStatus.OPENED, meta=replace(META, format=99)), {}),
    (ParentEndedError, FakeStore(OpenStatus.OPENED, meta=replace(META, active_run_id=None)), {}),
    (RunNotFoundError, FakeStore(OpenStatus.OPENED), {"parent_run_id": RunId("run_2")}),
    (ParentEndedError, FakeStore(OpenStatus.PARENT_ENDED), {"parent_run_id": PARENT.id}),
    (SideRunsFullError, FakeStore(OpenStatus.FULL), {}),
    (ConflictError, FakeStore(OpenStatus.MESSAGE_KNOWN), {}),
    (RunActiveError, FakeStore(OpenStatus.STALE), {}),
    (
        InvalidRequestError,
        FakeStore(OpenStatus.OPENED),
        {"messages": [UIMessage.parse(b'{"id":"a","role":"assistant","parts":[]}')]},
    ),
]


async def test_side_run_is_refused_by_what_is_there(subtests: pytest.Subtests) -> None:
    for error, store, change in REFUSALS:
        with subtests.test(error.__name__), pytest.raises(error):
            await opening(store, replace(ASKED, **change))


def test_mark_is_added_beside_the_metadata_of_others(subtests: pytest.Subtests) -> None:
    mark = {"runId": "run_side_1", "parentId": "u1"}
    for metadata, expected in (
        ({"cost": 1, "midstream": {"by": 2}}, {"cost": 1, "midstream": {"by": 2, "side": mark}}),
        ("of a client", {"midstream": {"side": mark}}),
        ({"midstream": []}, {"midstream": {"side": mark}}),
        (None, {"midstream": {"side": mark}}),
    ):
        with subtests.test(str(metadata)):
            message = Raw(json.encode({"id": "p1", "metadata": metadata}))
            marked = marked_side(message, RunId("run_side_1"), MessageId("u1"))
            assert json.decode(marked) == {"id": "p1", "metadata": expected}
