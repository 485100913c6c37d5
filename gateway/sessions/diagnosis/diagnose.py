"""Reading of a session's log for its diagnosis."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Final

from midstream.sessions.access import check_write, not_found
from midstream.sessions.diagnosis.events import Diagnosis
from midstream.sessions.diagnosis.story import Story

if TYPE_CHECKING:
    from midstream.ids import SessionId
    from midstream.sessions.access import Caller
    from midstream.store.contract import SessionStore

PAGE: Final = 200
"""Records that are read at once: others are served between two pages."""

MAX_PAGES: Final = 100


class Diagnosing:
    """Diagnoses sessions."""

    def __init__(self, store: SessionStore) -> None:
        self._store = store

    async def diagnose(self, caller: Caller, session_id: SessionId) -> Diagnosis:
        """Tell what happened in a session, to those who may change it.

        Raises:
            SessionNotFoundError, ForbiddenError, StoreUnavailableError.
        """
        meta = await self._store.load_meta(session_id)
        if meta is None:
            raise not_found()
        check_write(caller, meta)
        story, offset, complete = Story(), "-", True
        for page in range(MAX_PAGES):
            entries = await self._store.read_run(session_id, offset, count=PAGE)
            if page == 0 and entries:
                complete = entries[0].previous in ("", "0-0")
            for entry in entries if page == 0 else entries[1:]:
                story.take(entry)
            if len(entries) < PAGE:
                break
            offset = entries[-1].offset
        else:
            complete = False
        timeline = story.end(int(time.time() * 1000))
        failures = Counter(each.failure for each in timeline if each.failure is not None)
        return Diagnosis(id=session_id, failures=failures, timeline=timeline, complete=complete)
