"""Runs an earlier version of the gateway beside the working tree's, over one Redis.

The earlier version is unpacked from a commit of this repository, and runs in the same environment.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tarfile
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

import pytest

from midstream.ids import MessageId, RunId, SessionId
from midstream.store.calls import OpenRun, OpenStatus
from midstream.store.records import RunInfo, RunState, Trigger
from midstream.store.redis.store import RedisStore
from tests.support.gateway import SHORT_LEASE, GatewayProcess, Settings, merged
from tests.support.orphans import has_text, reading, until
from tests.support.processes import REPOSITORY, eventually
from tests.support.sessions import Session, Transcript, text_of, user_message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.fixtures import Deployment

EARLIER: Final = "9cc07d4f874aa13a660b96e23ef12156505e515e"
"""The commit that this version must run beside: the newest release, or, while there is none, the
commit before the newest change of sessions' data. A change that adds a record, a field or a key
sets this to the commit before it. docs/operations.md lists the versions of rolling upgrades."""

BEFORE_STEERS: Final = "6d88ede41a6ee45dec6a52a1796b0487d4a082ac"
"""The commit before messages could be given to a running answer; it knows queues."""

BEFORE_DELETIONS: Final = "d46d0c88ab6800b0dcb7cf7068a3f6e299699a18"
"""The commit before messages could be deleted."""

BEFORE_SIDE_RUNS: Final = "3a73a8ff4e620d74d5ec3188c7a7c59ee42eb0f4"
"""The commit before runs could be beside the main one, or wait."""

PACKAGES: Final = ("gateway", "protocol", "src")


def source_of(commit: str, folder: Path) -> Path:
    """Unpack the gateway's source of a commit into a folder, and return the folder.

    Needs `git` and a full clone. In an unpacked archive, without a repository, the test is
    skipped. In a clone that lacks the commit it fails, and says how to fetch it.
    """
    if not (REPOSITORY / ".git").exists():
        pytest.skip("needs the repository's history: run it in a clone, not in an archive of it")
    found = _git("cat-file", "-e", f"{commit}^{{commit}}")
    if found.returncode:
        pytest.fail(
            f"the history has no commit {commit[:12]}, which this test runs beside the working "
            "tree: fetch it by `git fetch --unshallow`, or clone without --depth"
        )
    there = _git("ls-tree", "--name-only", commit, "--", *PACKAGES).stdout.decode().split()
    archive = _git("archive", "--format=tar", commit, *there)
    assert archive.returncode == 0, archive.stderr.decode()
    folder.mkdir()
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as tar:
        tar.extractall(folder, filter="data")
    modules, package = (folder / "src", "midstream") if "src" in there else (folder, "gateway")
    where = subprocess.run(  # noqa: S603
        [sys.executable, "-c", f"import {package}; print({package}.__file__)"],
        cwd=folder, env={"PYTHONPATH": str(modules)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert where.stdout.startswith(str(folder)), "another gateway than the commit's is imported"
    return folder


def _git(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(  # noqa: S603
        ["git", *arguments],  # noqa: S607
        cwd=REPOSITORY, capture_output=True, check=False,
    )  # fmt: skip


@dataclass
class TwoVersions:
    """Two gateways over one Redis: `earlier` from a commit, `later` from the working tree."""

    deployment: Deployment
    earlier: GatewayProcess
    later: GatewayProcess
    kept: dict[str, list[Any]] = field(default_factory=dict)
    """Session -> its messages at the end of `mixed_operation`."""
    erased: list[str] = field(default_factory=list)

    def session(self) -> tuple[Session, Session]:
        """Return a new chat as seen through the earlier and through the later gateway."""
        session = Session(self.earlier.at)
        return session, session.through(self.later.at)


def start_two_versions(
    deployment: Deployment, commit: str = EARLIER, settings: Settings | None = None
) -> TwoVersions:
    """Start both, ready when this returns; the deployment ends them."""
    source = source_of(commit, deployment.folder / "source")
    layers = merged(SHORT_LEASE, settings or {})

    def start(name: str, tree: Path) -> GatewayProcess:
        gateway = GatewayProcess(
            deployment.folder / name,
            deployment.redis.url,
            deployment.simulator.url,
            layers,
            wait=False,
            source=tree,
        )
        deployment.gateways.append(gateway)
        return gateway

    versions = TwoVersions(deployment, start("earlier", source), start("later", REPOSITORY))
    versions.earlier.wait_ready()
    versions.later.wait_ready()
    return versions


# -- checks of both together ---------------------------------------------------------------------


async def mixed_operation(versions: TwoVersions) -> None:
    """Send, resume, edit, select, stop, queue, steer, close and erase on both, each seen by the
    other."""
    pair, swapped = versions.session(), versions.session()[::-1]
    await asyncio.gather(
        _answered_on_both(versions, *pair),
        _answered_on_both(versions, *swapped),
        _stopped_by_the_other(versions, *versions.session()),
        _stopped_by_the_other(versions, *versions.session()[::-1]),
        _erased_by_the_other(versions, *versions.session()),
        _erased_by_the_other(versions, *versions.session()[::-1]),
        _selected_at_the_later(versions, *versions.session()),
        _queued_behind(versions, *versions.session()),
        _queued_behind(versions, *versions.session()[::-1]),
        _steered(versions, *versions.session()),
        _steered(versions, *versions.session()[::-1]),
    )


async def later_dies(versions: TwoVersions) -> None:
    """Kill the later version in the middle of a run: the earlier one closes the run whole."""
    here, there = versions.session()
    answer = versions.deployment.simulator.held()
    await there.begin(answer.question)
    async with reading(here) as (seen, reader):
        await until(seen, has_text(20))
        versions.later.process.kill()
        await asyncio.wait_for(reader, 30)
    assert seen.types[-2:] == ["error", "finish"]
    snapshot = await here.snapshot()
    assert snapshot["runs"][-1]["outcome"] == "interrupted"
    assert text_of(snapshot["messages"][-1]) == seen.text
    await assert_nothing_lost(versions, versions.earlier)


async def assert_nothing_lost(versions: TwoVersions, gateway: GatewayProcess) -> None:
    """Check that a gateway shows every session unchanged, and nothing erased."""
    assert versions.kept
    assert versions.erased
    for session_id, messages in versions.kept.items():
        assert (await Session(gateway.at, session_id).snapshot())["messages"] == messages
    for session_id in versions.erased:
        status, _ = await gateway.at.call("GET", f"/api/chat/{session_id}")
        assert status == 404
        status, told = await gateway.at.call("GET", f"/api/chat/{session_id}/stream?after=0")
        assert status == 204 or told["error"]["code"] == "not_recovered"


async def side_run_and_wait(versions: TwoVersions) -> None:
    """Open a side run and a run that waits, as a later version would: the earlier one shows what it
    did, and changes nothing. The session is kept."""
    here, there = versions.session()
    await here.send("One [[tokens=2]]")
    shown = (await here.snapshot())["messages"]
    session_id = SessionId(here.id)
    async with RedisStore.connect(versions.deployment.redis.url) as store:
        state = await store.load(session_id)
        assert state is not None
        assert state.run is not None
        for run_id, side in (("run_side", True), ("run_waits", False)):
            run = RunInfo(
                id=RunId(run_id),
                state=RunState.OPEN,
                message_id=MessageId(f"answer_{run_id}"),
                user_message_id=state.run.user_message_id,
                trigger=Trigger.REGENERATE,
                side=side,
            )
            opened = await store.open_run(
                OpenRun(
                    session_id=session_id,
                    expected_owner=state.meta.owner,
                    expected_tenant=state.meta.tenant,
                    run=run,
                    user_message=None,
                    replaced_message=None,
                    content_hash="",
                    new_epoch="unused",
                    title="unused",
                    wait_ms=3_600_000,
                )
            )
            assert opened.status is OpenStatus.OPENED
    path = f"/api/chat/{here.id}"
    for method, place, body in (
        ("POST", "/api/chat", here.body("And more")),
        ("POST", f"{path}/stop", None),
        ("DELETE", path, None),
    ):
        status, refused = await here.at.call(method, place, body)
        assert (status, refused["error"]["code"]) == (503, "upgrade_needed")
    snapshot = await here.snapshot()
    assert snapshot["messages"] == shown[:1]
    assert snapshot["runs"][-1]["state"] == "waiting"
    assert (await there.snapshot())["messages"] == shown[:1]
    versions.kept[here.id] = shown[:1]


async def _answered_on_both(versions: TwoVersions, here: Session, there: Session) -> None:
    """Let one answer while the other reads, then swap; check the feeds of both."""
    answer = versions.deployment.simulator.held()
    sent = asyncio.create_task(here.send(answer.question))
    await eventually(lambda: _has_run(there), "the other gateway sees the run")
    async with (
        reading(there) as (seen, reader),
        _following(here) as near,
        _following(there) as far,
    ):
        await until(seen, has_text(20))
        await eventually(lambda: bool(near and far), "both feeds begin")
        late = asyncio.create_task(there.resume())
        await answer.release()
        whole, followed, joined = await asyncio.gather(sent, reader, late)
        await there.send("And where? [[tokens=5]]")
        last = await there.send("Or so? [[tokens=5]]")
        ended = (await there.snapshot())["runs"][0]["id"]
        await eventually(lambda: _ends(near, ended) and _ends(far, ended), "both feeds have it all")
    assert whole.done
    assert last.done
    assert whole.chunks == followed.chunks
    assert joined is None or joined.text == whole.text
    assert near == far
    assert [event for event, _ in far].count("run") >= 5
    await _keep(versions, here, there)


async def _stopped_by_the_other(versions: TwoVersions, here: Session, there: Session) -> None:
    answer = versions.deployment.simulator.held()
    sent = asyncio.create_task(here.send(answer.question))
    await eventually(lambda: _has_run(there), "the other gateway sees the run")
    (stopped,) = await there.stop()
    seen: Transcript = await sent
    assert seen.types[-2:] == ["abort", "finish"]
    for session in (here, there):
        (run,) = (await session.snapshot())["runs"]
        assert (run["id"], run["outcome"]) == (stopped, "stopped")
    await there.send("Go on [[tokens=5]]")
    await _keep(versions, here, there)


async def _erased_by_the_other(versions: TwoVersions, here: Session, there: Session) -> None:
    """Erase a session at the other gateway during a run; check that followers are told."""
    answer = versions.deployment.simulator.held()
    await here.send("A secret [[tokens=5]]")
    await here.begin(answer.question)
    async with here.at.request("GET", f"/api/chat/{here.id}/events") as feed:
        events = feed.events()
        assert _epoch((await anext(events)).data)
        status, _ = await there.at.call("DELETE", f"/api/chat/{there.id}")
        assert status == 204
        async for event in events:
            if event.event == "snapshot":
                assert not _epoch(event.data)
                break
    versions.erased.append(here.id)


async def _queued_behind(versions: TwoVersions, here: Session, there: Session) -> None:
    """Queue at the later gateway, behind a run that either produces: also after the earlier one
    has closed it, each is answered, in order."""
    later = here.through(versions.later.at)
    answer = versions.deployment.simulator.held()
    await here.begin(answer.question)
    for name in ("queued-1", "queued-2"):
        body = later.body("And then? [[tokens=3]]", name, {"onActive": "queue"})
        prefers = {"prefer": "respond-async"}
        async with later.at.request("POST", "/api/chat", body, headers=prefers) as response:
            assert response.status == 202, await response.body()
    assert len((await there.snapshot())["messages"]) == 1
    await answer.release()

    async def answered() -> bool:
        messages = (await later.snapshot())["messages"]
        asked = [message["id"] for message in messages[2::2]]
        return asked == ["queued-1", "queued-2"] and len(messages) == 6

    await eventually(answered, "both queued messages are answered", limit_s=40)
    await _keep(versions, here, there)


async def _steered(versions: TwoVersions, here: Session, there: Session) -> None:
    """Give a message at the later gateway to an answer that either produces. The earlier one does
    not take it up, and closes the run: then it is answered next. It is in one place alone."""
    later = here.through(versions.later.at)
    answer = versions.deployment.simulator.held()
    await here.begin(answer.question)
    await _give_steer(later)
    assert len((await there.snapshot())["messages"]) == 1
    await answer.release()
    await _until_settled(later)
    await _keep(versions, here, there)


async def steered_at_the_earlier_alone(versions: TwoVersions) -> None:
    """Let the earlier gateway be the first that follows the hint to the session's queue, which is
    empty, and end the run: the message is answered once the later one works again."""
    here, later = versions.session()
    answer = versions.deployment.simulator.held()
    await here.begin(answer.question)
    await _give_steer(later)
    redis = versions.deployment.redis.client

    def has_looked() -> bool:
        return redis.zscore("ms:queues", here.id) is None

    versions.later.process.freeze()
    try:
        redis.zadd("ms:queues", {here.id: 0}, xx=True)
        await eventually(has_looked, "the earlier gateway has looked at the queue")
        await answer.release()
        await eventually(here.is_ended, "the earlier gateway has closed the run")
    finally:
        versions.later.process.thaw()
    await _until_settled(later)
    await _keep(versions, here, later)


async def _give_steer(later: Session) -> None:
    body = {"message": user_message("No. [[tokens=3]]", "steer-1")}
    status, told = await later.at.call("POST", f"/api/chat/{later.id}/steer", body)
    assert (status, told["type"]) == (202, "pending")


async def _until_settled(later: Session) -> None:
    """Wait until the message is in one answer, and nothing waits."""

    async def settled() -> bool:
        snapshot = await later.snapshot()
        answered = [message["id"] for message in snapshot["messages"]].count("steer-1")
        taken_up = json.dumps(snapshot["messages"]).count('"steering-message"')
        return await later.is_ended() and answered + taken_up == 1 and not snapshot["steers"]

    await eventually(settled, "the message is in one answer", limit_s=60)


async def _selected_at_the_later(versions: TwoVersions, here: Session, there: Session) -> None:
    """Edit and select at the later gateway: the earlier one's tabs follow, and what either sends
    then goes to the version that is shown."""
    await here.send("One [[tokens=2]]", message_id="q1")
    async with here.at.request("GET", f"/api/chat/{here.id}/events") as feed:
        events = feed.events()
        await there.send("One, edited [[tokens=2]]", message_id="q1")
        before, after = (await there.snapshot())["branches"]["q1"]["ids"]
        assert after == "q1"
        path = f"/api/chat/{there.id}/select"
        status, told = await there.at.call("POST", path, {"messageId": before})
        assert status == 200
        async for event in events:
            if event.event == "snapshot" and before in event.data:
                shown = [message["id"] for message in json.loads(event.data)["messages"]]
                if shown == [before, told["head"]]:
                    break
    for session in (here, there):
        parent = (await session.snapshot())["messages"][-1]["id"]
        await session.send("And? [[tokens=2]]", extra={"parentId": parent, "head": parent})
    asked = [message["id"] for message in (await here.snapshot())["messages"][::2]]
    assert asked[0] == before
    assert len(asked) == 3
    await _keep(versions, here, there)


def _epoch(data: str) -> str:
    """Return a snapshot's epoch; empty for a session that does not exist."""
    return str(json.loads(data)["epoch"])


@asynccontextmanager
async def _following(session: Session) -> AsyncIterator[list[tuple[str | None, str]]]:
    """Collect a feed's events during the block, except chunks, presence and the snapshot."""
    said: list[tuple[str | None, str]] = []

    async def follow() -> None:
        async with session.at.request("GET", f"/api/chat/{session.id}/events") as response:
            async for event in response.events():
                if event.event not in {"chunks", "presence"}:
                    begun = bool(said) or event.event != "snapshot"
                    said.append((event.event, event.data if begun else ""))

    task = asyncio.create_task(follow(), name="follower")
    try:
        yield said
    finally:
        task.cancel()
        await asyncio.wait({task})


def _ends(said: list[tuple[str | None, str]], run_id: str) -> bool:
    event, data = said[-1]
    run = json.loads(data or "{}")
    return event == "run" and (run["id"], run["state"]) == (run_id, "ended")


async def _has_run(session: Session) -> bool:
    status, answer = await session.at.call("GET", f"/api/chat/{session.id}")
    return status == 200 and bool(answer["runs"])


async def _keep(versions: TwoVersions, here: Session, there: Session) -> None:
    """Check that both show the same, and remember it for later checks."""
    await eventually(here.is_ended, "the run has ended")
    messages = (await here.snapshot())["messages"]
    assert (await there.snapshot())["messages"] == messages
    versions.kept[here.id] = messages
