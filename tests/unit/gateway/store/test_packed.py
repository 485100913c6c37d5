"""Packed appends: what goes over the wire is what hiredis would make of the command."""

from __future__ import annotations

from hiredis import pack_command
from hypothesis import given
from hypothesis import strategies as st

from midstream.ids import RunId, SessionId
from midstream.store.calls import AppendBatch, RunKey
from midstream.store.keys import Keys
from midstream.store.records import ChunksRecord
from midstream.store.scripts.catalog import Scripts
from midstream.store.scripts.packed import AppendCommands

COMMANDS = AppendCommands(Scripts(sharded=False), Keys("ms").session)
NUMBERS = st.integers(0, 10**12)
NAMES = st.text(min_size=1, max_size=20)


@given(
    session=NAMES, run=NAMES, fence=NUMBERS, first=NUMBERS, count=NUMBERS, level=NUMBERS,
    payload=st.binary(max_size=200) | st.sampled_from([b"\r\n", b"$1\r\n", b"*3\r\n"]),
)  # fmt: skip
def test_packed_append_is_the_command(
    session: str, run: str, fence: int, first: int, count: int, level: int, payload: bytes
) -> None:
    """Whatever its names, numbers and bytes; also when its run's beginning is packed already."""
    key = RunKey(session_id=SessionId(session), run_id=RunId(run), fence=fence)
    for begins in (first, first + count):
        chunks = ChunksRecord(
            run_id=key.run_id, first=begins, count=count, level=level, payload=payload
        )
        batch = AppendBatch(key=key, chunks=chunks)
        assert COMMANDS.packed(batch) == pack_command(COMMANDS.command(batch))  # type: ignore[arg-type]
