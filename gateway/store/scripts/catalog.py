"""The Lua scripts, by what they are given. What each does and answers stands in its file.

Values are bytes, text, or integers (decimal text in Lua); what is absent is the empty string.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from midstream.store.format import WRITE_FORMAT
from midstream.store.keys import (
    HeldName,
    HintName,
    PresenceNames,
    ScopeNames,
    SessionNames,
    SpentNames,
    StoredNames,
)
from midstream.store.scripts.handover import (
    claim,
    hand_over,
    recall,
    release,
    remember,
    say,
    take_over,
    wait,
)
from midstream.store.scripts.queue import change_entry, change_queue, enqueue, take_entry
from midstream.store.scripts.script import Description, Script, script
from midstream.store.scripts.steers import (
    confirm_steers,
    note_reader,
    refuse_steer,
    steer,
    steer_entry,
    take_steers,
)
from midstream.store.scripts.tree import delete, select

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from midstream.ids import MessageId, Reach, RunId, TenantId, UserId
    from midstream.store.calls import QueueRule
    from midstream.store.records import RunOutcome
    from midstream.store.scripts.script import Command

_Names = TypeVar("_Names", bound=tuple[bytes, ...])
_Arguments = ParamSpec("_Arguments")

_ALL = ("meta", "log", "runs", "side", "messages", "requests", "stops")
_LIVE = ("meta", "side")
_FEED = ("feed",)

_WRITES = ("rights", "format", "common", "whole", "lanes", "lease", "records")
_QUEUE = ("queue", "leaving", "steers", "returning")
_OPENS = (*_WRITES, *_QUEUE, "messages", "tombstones", "opening")

# -- a run's life -----------------------------------------------------------------------------


@script(SessionNames, *_OPENS, "attempts", "tree", keys=_ALL, channels=_FEED)
def open(
    *,
    expected_owner: UserId,
    expected_tenant: TenantId,
    expected_offset: str,
    new_epoch: str,
    title: str,
    ttl_s: int,
    lease_ms: int,
    wait_ms: int | str,
    run: RunId,
    info: bytes,
    answers: MessageId,
    writes: MessageId,
    request_key: str,
    content_hash: str,
    facts: bytes,
    is_user_message: int,
    entry: MessageId | str,
    queue_rule: QueueRule,
    attempt: int | str,
    patience_ms: int | str,
    after: RunId | str,
    sender: bytes,
    message: MessageId | str,
    message_parent: MessageId | str,
    message_hash: str,
    message_json: bytes,
    earlier: MessageId | str,
    earlier_json: bytes,
) -> None:
    """Accept a message, and open a run. `sender`: a JSON string; empty: nobody is known.

    `expected_offset`: '' for any. `wait_ms`: for how long it waits; '' if it has a producer.
    `message`: '' for none to put; `is_user_message`: 1 or 0. `entry`: of the queue; '' for none.
    `attempt`: its number, '' for none. `patience_ms`: how long the run waits for the next attempt;
    '' for as long as its lease. `after`: the run of the key until now; '' for none.
    `earlier`: of an edit, the id under which the message before it is kept; '' for none.
    """


@script(SessionNames, *_OPENS, "attempts", keys=_ALL, channels=_FEED)
def open_side(
    *,
    expected_owner: UserId,
    expected_tenant: TenantId,
    expected_offset: str,
    ttl_s: int,
    lease_ms: int,
    wait_ms: int | str,
    run: RunId,
    info: bytes,
    answers: MessageId,
    writes: MessageId,
    request_key: str,
    facts: bytes,
    attempt: int | str,
    patience_ms: int | str,
    parent: RunId | str,
    message: MessageId | str,
    message_parent: MessageId | str,
    message_hash: str,
    message_json: bytes,
) -> None:
    """Open a run beside the main one. As of `open`. `parent`: a run under way; '' for any."""


@script(SessionNames, keys=("meta", "log", "runs", "side"), channels=_FEED)
def append(*, run: RunId, fence: int, first: int, count: int, level: int, payload: bytes) -> None:
    """Append one batch of a run's chunks. `count`: at least 1."""


@script(
    SessionNames,
    "rights",
    "format",
    "common",
    "whole",
    "lanes",
    "records",
    "messages",
    *_QUEUE,
    "turns",
    keys=_ALL,
    channels=_FEED,
)
def close(
    *,
    run: RunId,
    fence: int,
    first: int,
    count: int,
    level: int,
    payload: bytes,
    outcome: RunOutcome,
    trim_before_ms: int,
    ttl_s: int,
    waits_for: str,
    wait_ms: int,
    take_ms: int,
    undelivered: str,
    message: MessageId | str,
    message_parent: MessageId | str,
    message_hash: str,
    message_json: bytes,
) -> None:
    """Write a run's terminal. `message`: '' for none to put.

    `waits_for`: what the message waits for, for at most `wait_ms`; '' for nothing. `take_ms`: for
    how long the next entry is the closing process's. `undelivered`: why steers come back.
    """


@script(SessionNames, "format", "common", "whole", "lanes", "lease", keys=_ALL, channels=_FEED)
def renew(*, run: RunId, fence: int, lease_ms: int, ttl_s: int, patience_ms: int | str) -> None:
    """Extend a run's lease, and the session's time to live.

    `patience_ms`: how long the run waits for the job's next attempt; '' for as long as before.
    """


@script(SessionNames, *_WRITES, *_QUEUE, "tombstones", keys=_ALL, channels=_FEED)
def request_stop(
    *,
    run: RunId | str,
    message: MessageId | str,
    by: bytes,
    tombstone_ms: int,
    ttl_s: int,
    request_key: str,
    reach: Reach,
    pauses: int,
) -> None:
    """Record a stop. `by`: a JSON string. `reach`: of who asks. `pauses`: 1 if a person asks."""


# -- reading -----------------------------------------------------------------------------------


@script(SessionNames, "common", "whole", "lanes", "lease", keys=_ALL, channels=_FEED)
def read(*, epoch: str, offset: str, count: int) -> None:
    """Read the log after a position."""


@script(SessionNames, "common", "whole", "lanes", "lease", "queue", keys=_ALL, channels=_FEED)
def load(*, leaf: MessageId | str, with_queue: int) -> None:
    """Read a session. `leaf`: the last message of the path, '' for the head.

    `with_queue`: 1 to read the entries of the queue, too; else 0.
    """


@script(SessionNames, "whole", "lanes", keys=_ALL, channels=_FEED)
def load_run(*, run: RunId) -> None:
    """Read one run."""


# -- housekeeping ------------------------------------------------------------------------------


@script(SessionNames, "rights", "format", "common", "whole", "lanes", keys=_ALL, channels=_FEED)
def erase(*, reach: Reach) -> None:
    """Delete a session. `reach`: of who asks."""


@script(SessionNames, "format", "common", "lanes", "records", keys=("meta", "log", "side"))
def trim(*, window_ms: int) -> None:
    """Trim what is older than the reconnect window."""


# -- hints, presence, limits -------------------------------------------------------------------


@script(HintName, "rights", "common")
def hint(*members: str, delay_ms: int, ttl_s: int) -> None:
    """Note members of a hint."""


@script(HintName, "common")
def due(*, limit: int, ahead_ms: int | str, early_ms: int) -> None:
    """Read members of a hint whose time has come.

    `ahead_ms`: how far ahead members are noted; '' if that is not known. `early_ms`: how long
    before its time a member is due.
    """


@script(PresenceNames, "rights", "common", keys=("here",), channels=_FEED)
def presence(*, process: str, lifetime_ms: int, user: UserId | str, tabs: int, dead: str) -> None:
    """Say who has a session open, and read it.

    `process`: '' to look only. `dead`: how the names of ended processes begin; '' for none.
    """


@script(ScopeNames, "rights", "limit_stored", "limit_used", "limit_places")
def limit_take(
    *,
    send: str,
    stream: str,
    run: str,
    between_us: int,
    burst_us: int,
    most_runs: int,
    most_streams: int,
    lease_ms: int,
    remember_ms: int,
    size: str,
    most_bytes: int,
    budget: str,
    most_tokens: int,
) -> None:
    """Take what a request needs of a scope's limits.

    `send`, `stream`: '' for none. `run`: of the send. `size`, `budget`: tokens of the bytes and of
    the tokens that it may come to; '' for none. A limit of 0 is none.
    """


@script(ScopeNames, "rights")
def limit_undo(
    *, send: str, stream: str, run: str, between_us: int, size: str, budget: str
) -> None:
    """Give it back."""


@script(SpentNames, "rights", "common", "limit_used")
def limit_spend(*, run: str, tokens: int, remember_ms: int) -> None:
    """Count the tokens that a run has used."""


@script(StoredNames, "rights", "common", "limit_stored")
def limit_store(*entries: str | int, longest_ms: int) -> None:
    """Say how many bytes there are of entries. Of each: its name, bytes, for how many ms."""


@script(HeldName, "rights", "common")
def limit_hold(*tokens: str, lease_ms: int) -> None:
    """Go on holding places."""


@script(HintName)
def missing(*needed: str | bytes) -> None:
    """Ask which commands the user may not run. Of each: the command, and a name.

    The hint is not touched: a call of a script names a key.
    """


DESCRIPTIONS: Final = (
    *(open, open_side, append, close, renew, request_stop),
    *(take_over, wait, claim, say, hand_over, recall, release, remember),
    *(enqueue, take_entry, change_entry, change_queue),
    *(steer, steer_entry, take_steers, confirm_steers, refuse_steer, note_reader),
    *(read, load, load_run, delete, select, erase, trim),
    *(hint, due, presence, limit_take, limit_undo, limit_spend, limit_store, limit_hold),
    missing,
)


class Scripts:
    """All scripts, as they are sent: `scripts.open.call(names, ...)`. See `Script`."""

    def __init__(self, *, sharded: bool = False, write_format: int = WRITE_FORMAT) -> None:
        def made(described: Description[_Names, _Arguments]) -> Script[_Names, _Arguments]:
            script = Script(described, sharded=sharded, write_format=write_format)
            self._sources[script.sha] = script.source
            self._all.append(script)
            return script

        self._sources: dict[str, str] = {}
        self._all: list[Script[Any, ...]] = []
        self.open = made(open)
        self.open_side = made(open_side)
        self.append = made(append)
        self.close = made(close)
        self.renew = made(renew)
        self.request_stop = made(request_stop)
        self.take_over = made(take_over)
        self.wait, self.claim, self.say = made(wait), made(claim), made(say)
        self.hand_over = made(hand_over)
        self.recall, self.remember = made(recall), made(remember)
        self.release = made(release)
        self.enqueue = made(enqueue)
        self.take_entry = made(take_entry)
        self.change_entry, self.change_queue = made(change_entry), made(change_queue)
        self.steer, self.steer_entry = made(steer), made(steer_entry)
        self.take_steers, self.confirm_steers = made(take_steers), made(confirm_steers)
        self.refuse_steer, self.note_reader = made(refuse_steer), made(note_reader)
        self.read = made(read)
        self.load = made(load)
        self.load_run = made(load_run)
        self.delete = made(delete)
        self.select = made(select)
        self.erase = made(erase)
        self.trim = made(trim)
        self.hint = made(hint)
        self.due = made(due)
        self.presence = made(presence)
        self.limit_take = made(limit_take)
        self.limit_undo = made(limit_undo)
        self.limit_spend = made(limit_spend)
        self.limit_store = made(limit_store)
        self.limit_hold = made(limit_hold)
        self.missing = made(missing)

    def all(self) -> Sequence[Script[Any, ...]]:
        """Return every script."""
        return self._all

    def sources(self, commands: Iterable[Command]) -> set[str]:
        """Return the sources of the scripts that these commands call."""
        return {self._sources[str(command[1])] for command in commands}
