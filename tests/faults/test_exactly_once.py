"""Promise 2: any reader, through any cuts, sees each chunk once and in order."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from websockets.exceptions import WebSocketException

from tests.support.proxy import faulty_proxy
from tests.support.sessions import Session, Transcript, joined
from tests.support.websocket import open_socket
from tests.support.wire import Endpoint

if TYPE_CHECKING:
    from tests.support.fixtures import Deployment

pytestmark = pytest.mark.anyio

# Each example is a run of real processes: few of them, and no shrinking of what is not
# deterministic.
FEW = settings(
    max_examples=10,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
PROMPTS = st.sampled_from(
    [
        "[[sources=20 rate=0 reasoning=10 first=0]]",  # all at once, and yet in many parts
        "[[tokens=150 rate=300 reasoning=10 first=0]]",
        "[[tokens=150 rate=2000 reasoning=10 first=0]]",
    ]
)
CUTS = st.lists(st.integers(1, 9000), max_size=6)
FEWEST = 8
"""Of an answer that comes at once: each of its parts is a chunk or more."""
VERSIONS = st.sampled_from(["?v=5", "?v=7"])


async def last_run_id(session: Session) -> str:
    return str((await session.snapshot())["runs"][-1]["id"])


def assert_once_and_in_order(sequences: list[Any]) -> None:
    assert sequences == sorted(set(sequences))


@FEW
@given(prompt=PROMPTS, cuts=CUTS, version=VERSIONS)
async def test_reader_sees_the_run_once_through_any_cuts(
    deployment: Deployment, prompt: str, cuts: list[int], version: str
) -> None:
    """Cut after any byte and continued with Last-Event-ID, the pieces add up to the run."""
    session = deployment.session()

    seen = await session.read_through_cuts(prompt, cuts, version)

    whole = await session.whole_run(await last_run_id(session), version)
    assert seen.chunks == whole.chunks
    assert_once_and_in_order(seen.sequences)
    assert (seen.types[0], seen.types[-1]) == ("start", "finish")


@FEW
@given(prompt=PROMPTS, cuts=CUTS, version=VERSIONS)
async def test_reader_that_counts_sees_the_run_once_through_any_cuts(
    deployment: Deployment, prompt: str, cuts: list[int], version: str
) -> None:
    """The same, continued by the number of chunks seen, as WorkflowChatTransport does."""
    session = deployment.session()

    seen = await session.read_by_index(prompt, cuts, version)

    whole = await session.whole_run(await last_run_id(session), version)
    assert seen.chunks == whole.chunks


@FEW
@given(prompt=PROMPTS, starts=st.lists(st.integers(0, 60), min_size=1, max_size=6))
async def test_reader_from_any_position_at_any_gateway_sees_exactly_the_suffix(
    deployment: Deployment, prompt: str, starts: list[int]
) -> None:
    """Wherever a reader stood, and whichever process it comes back to, it misses nothing."""
    session = deployment.session()
    async with session.sending(prompt, query="?v=7") as response:
        whole = Transcript()
        suffixes: dict[int, asyncio.Task[Transcript | None]] = {}
        async for _ in whole.follow(response):
            for after in [start for start in starts if start == whole.last_id]:
                gateway = deployment.gateways[after % 2]
                suffix = session.through(gateway.at).resume(after=after, query="?v=7")
                suffixes[after] = asyncio.create_task(suffix)

    assert whole.sequences == list(range(len(whole.chunks)))
    # How many chunks a fast answer is depends on the machine.
    assert suffixes.keys() == {start for start in starts if start < len(whole.chunks)}
    assert len(whole.chunks) > FEWEST
    for after, reading in suffixes.items():
        seen = await reading
        assert seen is not None
        assert seen.done
        assert seen.chunks == whole.chunks[after + 1 :]
        assert seen.sequences == whole.sequences[after + 1 :]


@FEW
@given(prompt=PROMPTS, cuts=CUTS)
async def test_socket_reader_sees_the_run_once_through_any_cuts(
    deployment: Deployment, prompt: str, cuts: list[int]
) -> None:
    """Each new socket, at the other gateway, begins the message anew; the last one has it all."""
    session = deployment.session()
    message_id = f"u-{secrets.token_hex(8)}"
    run_id = await session.begin(prompt, message_id=message_id)
    chunks: list[Any] = []
    ended = False
    async with faulty_proxy(deployment.gateways[1].at.port, [*cuts, None]) as proxy:
        while not ended:
            with suppress(OSError, EOFError, WebSocketException):
                async with open_socket(Endpoint(proxy.port), "?v=7") as socket:
                    # A send that comes again attaches to its run, also to an ended one.
                    request = await socket.send_message(session.id, prompt, message_id)
                    chunks.clear()
                    async for frame in socket.frames(request):
                        assert frame["type"] in {"start", "chunk", "end"}, frame
                        ended = frame["type"] == "end"
                        if frame["type"] == "chunk":
                            assert frame["sequence"] == len(chunks)
                            chunks.append(frame["chunk"])

    whole = await session.whole_run(run_id)
    assert joined(chunks) == whole.joined


async def test_readers_at_every_gateway_see_equal_runs(deployment: Deployment) -> None:
    """Joined while it runs, a run is the same at each gateway, chunk by chunk."""
    session = deployment.session()
    run_id = await session.begin("[[tokens=200 rate=300]]")

    first, second = await asyncio.gather(
        *(session.through(gateway.at).whole_run(run_id) for gateway in deployment.gateways)
    )

    assert first == second
