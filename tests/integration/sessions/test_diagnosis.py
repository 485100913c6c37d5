"""Diagnosis of a session, read from its real log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from midstream.errors import SessionNotFoundError
from midstream.ids import SessionId
from midstream.sessions.diagnosis import diagnose
from midstream.sessions.diagnosis.diagnose import Diagnosing
from tests.support.played import ALICE, BOB, Reading, Script, send, user_message
from tests.support.processes import eventually

if TYPE_CHECKING:
    from midstream.sessions.service import Sessions

pytestmark = pytest.mark.anyio
SESSION = SessionId("told")


async def until_read(reading: Reading, text: str) -> None:
    await eventually(lambda: reading.text == text, "the words")


async def test_log_is_told_from_its_beginning_page_by_page(
    sessions: Sessions, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A good answer, then a stopped one: no word of either is in the diagnosis."""
    for number in (1, 2):
        message = user_message(f"u{number}", "a secret")
        reading = Reading(await sessions.start(ALICE, send(SESSION, message)))
        run = await script.next()
        run.open()
        run.tell("another", " secret")
        await until_read(reading, "another secret")
        if number == 1:
            run.end()
        else:
            await sessions.stop(ALICE, SESSION)
        await reading.task
    diagnosing = Diagnosing(sessions.store)
    whole = await diagnosing.diagnose(ALICE, SESSION)
    assert [event.code for event in whole.timeline] == [
        *("run_opened", "first_chunk", "finished"),
        *("run_opened", "first_chunk", "stop_requested", "stopped"),
    ]
    assert whole.complete
    assert not whole.failures
    assert "secret" not in str(whole)

    monkeypatch.setattr(diagnose, "PAGE", 2)
    assert await diagnosing.diagnose(ALICE, SESSION) == whole
    monkeypatch.setattr(diagnose, "MAX_PAGES", 2)
    cut = await diagnosing.diagnose(ALICE, SESSION)
    assert not cut.complete
    assert cut.timeline[0] == whole.timeline[0]


async def test_stranger_is_told_nothing(sessions: Sessions, script: Script) -> None:
    reading = Reading(await sessions.start(ALICE, send(SESSION, user_message("u1", "hello"))))
    (await script.next()).finish()
    await reading.task
    for caller, session in ((BOB, SESSION), (ALICE, SessionId("nothing"))):
        with pytest.raises(SessionNotFoundError):
            await Diagnosing(sessions.store).diagnose(caller, session)
