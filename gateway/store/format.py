"""The format of a session: the version of what its log and its keys may hold.

`format` in a session's meta says which gateways may write it. A script that writes compares it
with WRITE_FORMAT before all else; if the session's is higher, it answers `newer` and writes
nothing, because it would leave out, tear or fail to delete what it does not know. Reading is
never refused: what a reader does not know, it passes over.

How a version adds to what sessions hold:

- A new kind of record, a new field or a new key that older gateways may ignore needs nothing.
- One that they must not write beside raises WRITE_FORMAT by one, and is listed below. Its script
  calls `raise_format` (common.lua) when the feature is first used in a session, so that all other
  sessions stay writable for older gateways. Raise it in open.lua where that is possible: a run
  that an older gateway produces in the session ends for that gateway, as if its process had died.
- Kinds of records keep their header lines, fields their meaning and type, and each run its entry
  in `runs`: readers of every earlier version continue to work.

    1   the first. A session without `format` is of this one.
    2   messages were deleted: what answers a deleted question is not sent to models. Not raised
        while a run is under way, which may be an older gateway's.
    3   a run was opened beside the main one, or has waited: an older gateway would trim the side
        run's chunks, leave its live fields behind, and take a run that waits for an orphan.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from midstream.errors import UpgradeNeededError

if TYPE_CHECKING:
    from midstream.ids import SessionId

logger = logging.getLogger(__name__)

WRITE_FORMAT: Final = 3
"""The highest format that the scripts of this version write."""

NEWER: Final = b"newer"
"""Answer of a script that met a higher one."""


def upgrade_needed(session_id: SessionId) -> UpgradeNeededError:
    """Return the error of a session that a newer gateway alone may write; tell operators."""
    logger.warning(
        "upgrade_needed session=%s: a newer gateway has written it, and this one writes formats "
        "up to %d; upgrade this one",
        session_id,
        WRITE_FORMAT,
    )
    return UpgradeNeededError(
        "unable to change this session for now; a newer version of the server is at work in it. "
        "Try again in a moment"
    )
