"""Messages of side runs, as clients that ask for them are shown them.

Each says so in its metadata, `midstream.side`: `{runId, parentId}`. In a snapshot they follow the
message that their run's parent answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw, structs

from midstream.store.records import RunState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midstream.ids import MessageId, RunId
    from midstream.sessions.types import Snapshot
    from midstream.store.records import OffPath, SessionState


def marked_side(message: Raw, run_id: RunId | None, parent_id: MessageId | None) -> Raw:
    """Return a message with the mark of a side run."""
    fields = msgspec.json.decode(message, type=dict[str, Raw])
    metadata = _object(fields.get("metadata"))
    ours = _object(metadata.get("midstream"))
    ours["side"] = Raw(msgspec.json.encode({"runId": run_id, "parentId": parent_id}))
    metadata["midstream"] = Raw(msgspec.json.encode(ours))
    fields["metadata"] = Raw(msgspec.json.encode(metadata))
    return Raw(msgspec.json.encode(fields))


def _object(value: Raw | None) -> dict[str, Raw]:
    """Return the fields of a JSON object; of anything else, which may be a client's, none."""
    if value is None or not bytes(value).startswith(b"{"):
        return {}
    return msgspec.json.decode(value, type=dict[str, Raw])


def with_side(
    snapshot: Snapshot, state: SessionState, beside: Sequence[tuple[OffPath, Raw]]
) -> Snapshot:
    """Return a snapshot with the messages and the open runs beside the main run.

    Args:
        beside: the messages, marked, oldest first.
    """
    run = state.run
    hidden = None if run is None or run.state is RunState.ENDED else run.message_id
    shown = [message for message in state.path if message.id != hidden]
    messages: list[Raw] = []
    for message in shown:
        messages.append(message.message)
        messages += [raw for where, raw in beside if where.parent_id == message.id]
    runs = [*snapshot.runs, *(found.run for found in state.beside)]
    return structs.replace(snapshot, messages=messages, runs=runs)
