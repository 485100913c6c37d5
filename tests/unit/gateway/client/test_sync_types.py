"""The client without `await` takes and gives what the other one does, by name and type."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from midstream.client import (
    Midstream,
    MidstreamSync,
    Run,
    Session,
    SyncRun,
    SyncSession,
    SyncToolCall,
    ToolCall,
)

PAIRS = [
    (Midstream, MidstreamSync),
    (Run, SyncRun),
    (ToolCall, SyncToolCall),
    (Session, SyncSession),
]
_OF_THE_LOOP = {"open", "close", "stopped", "emit", "composer", "new_id", "give_up", "is_open"}
"""Of `Run`: what drives a block, or makes sense in an event loop alone."""
_OTHER_RETURNS = {
    "SyncRun": "Run",
    "SyncSession": "Session",
    "SyncToolCall": "ToolCall",
    "Iterator[UIMessage]": "AsyncIterator[UIMessage]",
    "Generator[SessionEvent, None, None]": "AsyncGenerator[SessionEvent, None]",
}


def parts(kind: type) -> dict[str, Any]:
    """The public methods and properties of a class."""
    members = inspect.getmembers(kind, lambda each: inspect.isfunction(each) or _is_property(each))
    return {name: member for name, member in members if not name.startswith("_")}


def _is_property(member: object) -> bool:
    return isinstance(member, property)


def told(member: Any) -> str:
    """Its parameters and what it returns, as they are written."""
    function = member.fget if _is_property(member) else member
    signature = inspect.signature(function)
    returned = str(signature.return_annotation)
    return str(signature.replace(return_annotation=_OTHER_RETURNS.get(returned, returned)))


@pytest.mark.parametrize(("awaited", "sync"), PAIRS, ids=lambda kind: kind.__name__)
def test_sync_class_has_the_methods_of_the_other(awaited: type, sync: type) -> None:
    """All of them, with the same parameters, defaults and types."""
    wanted, there = parts(awaited), parts(sync)
    missing = set(wanted) - set(there) - (_OF_THE_LOOP if awaited is Run else set())
    assert missing == set()
    for name in set(wanted) & set(there):
        assert told(there[name]) == told(wanted[name]), name


@pytest.mark.parametrize("sync", [sync for _, sync in PAIRS], ids=lambda kind: kind.__name__)
def test_sync_methods_have_no_untyped_parameter(sync: type) -> None:
    """No `**options`: an editor knows each of them."""
    for name, member in parts(sync).items():
        if _is_property(member):
            continue
        signature = inspect.signature(member)
        kinds = {parameter.kind for parameter in signature.parameters.values()}
        assert inspect.Parameter.VAR_KEYWORD not in kinds, name
        assert inspect.Parameter.VAR_POSITIONAL not in kinds, name
