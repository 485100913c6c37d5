"""Edits, older branches, tabs that are behind: what the agent reads, and what stays."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
import pytest

from midstream.errors import MessageNotFoundError, RunActiveError
from midstream.ids import MessageId, SessionId
from midstream.protocol.chunks import (
    FinishStepChunk,
    StartStepChunk,
    TextDeltaChunk,
    TextEndChunk,
    TextStartChunk,
)
from midstream.protocol.messages import UIMessage
from midstream.sessions.types import Versions
from midstream.store.records import Trigger
from tests.support.played import ALICE, Reading, Script, send, user_message

if TYPE_CHECKING:
    import redis

    from midstream.sessions.service import Sessions
    from midstream.sessions.types import StartRequest

pytestmark = pytest.mark.anyio
S = SessionId("chat-1")


def text_of(message: UIMessage) -> str:
    """Return a message's text."""
    return "".join(part.get("text", "") for part in msgspec.json.decode(message.raw)["parts"])


async def answered(sessions: Sessions, script: Script, request: StartRequest) -> str:
    """Send, and have it answered by `re: TEXT`; return what the agent read, text by text."""
    reading = Reading(await sessions.start(ALICE, request))
    run = await script.next()
    history = run.request.history
    delta = TextDeltaChunk(id="t", delta=f"re: {text_of(history[-1])}")
    run.say(
        StartStepChunk(), TextStartChunk(id="t"), delta, TextEndChunk(id="t"), FinishStepChunk()
    )
    run.finish()
    await reading.end()
    return " | ".join(map(text_of, history))


async def shown(sessions: Sessions) -> list[UIMessage]:
    """Return what a tab shows that has just loaded."""
    return [UIMessage.parse(raw) for raw in (await sessions.snapshot(ALICE, S)).messages]


async def two_turns(sessions: Sessions, script: Script) -> list[UIMessage]:
    """Have two questions answered; return what tabs show then."""
    await answered(sessions, script, send(S, user_message("u1", "one")))
    await answered(sessions, script, send(S, *await shown(sessions), user_message("u2", "two")))
    return await shown(sessions)


async def test_edit_by_cutting_the_list_leaves_what_followed_as_a_branch(
    sessions: Sessions, script: Script
) -> None:
    """As assistant-ui edits: the messages before it, and a new one in its place."""
    whole = await two_turns(sessions, script)
    edit = send(S, *whole[:2], user_message("u2b", "two, edited"))
    assert await answered(sessions, script, edit) == "one | re: one | two, edited"

    first = send(S, user_message("u1b", "one, edited"), parent_id=None, head=await head(sessions))
    assert await answered(sessions, script, first) == "one, edited"
    snapshot = await sessions.snapshot(ALICE, S)
    assert snapshot.branches == {"u1b": Versions([MessageId("u1"), MessageId("u1b")], 1)}


async def head(sessions: Sessions) -> MessageId:
    """Return the last message that tabs show."""
    return MessageId((await shown(sessions))[-1].id)


async def test_going_back_to_an_older_branch_and_sending_goes_on_there(
    sessions: Sessions, script: Script
) -> None:
    """The model reads the branch that the person saw, and the newer one is kept beside it."""
    older = await two_turns(sessions, script)
    await answered(sessions, script, send(S, *older[:2], user_message("u2b", "two, edited")))
    back = send(S, *older, user_message("u3", "three"))
    assert await answered(sessions, script, back) == "one | re: one | two | re: two | three"

    snapshot = await sessions.snapshot(ALICE, S)
    assert [m.id for m in await shown(sessions)][:-1] == [*(m.id for m in older), "u3"]
    assert snapshot.branches == {"u2": Versions([MessageId("u2"), MessageId("u2b")], 0)}


async def test_regenerated_answer_that_is_left_again_is_not_read(
    sessions: Sessions, script: Script
) -> None:
    """The person went back to the first answer: the second stays beside it."""
    await answered(sessions, script, send(S, user_message("u1", "one")))
    first = await shown(sessions)
    again = send(S, first[0], trigger=Trigger.REGENERATE, message_id=MessageId(first[1].id))
    await answered(sessions, script, again)
    second = (await shown(sessions))[1].id
    await answered(sessions, script, send(S, *first, user_message("u2", "two")))

    assert [m.id for m in await shown(sessions)][1] == first[1].id
    branches = (await sessions.snapshot(ALICE, S)).branches
    assert branches == {
        MessageId(first[1].id): Versions([MessageId(first[1].id), MessageId(second)], 0)
    }


async def test_tab_that_is_behind_is_answered_where_it_stands_or_at_the_end(
    sessions: Sessions, script: Script
) -> None:
    """A stock client by its list; one that says that it meant the end, there."""
    whole = await two_turns(sessions, script)
    behind, last = whole[:2], MessageId(whole[1].id)
    stock = send(S, *behind, user_message("u3", "three"))
    assert await answered(sessions, script, stock) == "one | re: one | three"

    ours = send(S, user_message("u4", "four"), parent_id=last, head=last)
    read = await answered(sessions, script, ours)
    assert read == "one | re: one | three | re: three | four"


async def test_two_people_within_a_moment_are_answered_one_after_the_other(
    sessions: Sessions, script: Script
) -> None:
    """The second send meets an active run; sent again, it is appended at the end."""
    await answered(sessions, script, send(S, user_message("u1", "one")))
    last = await head(sessions)
    sends = [
        send(S, user_message(name, name), parent_id=last, head=last) for name in ("ann", "ben")
    ]
    outcomes = await asyncio.gather(
        *(sessions.start(ALICE, each) for each in sends), return_exceptions=True
    )
    [refused] = [i for i, each in enumerate(outcomes) if isinstance(each, RunActiveError)]
    first = Reading(outcomes[1 - refused])  # type: ignore[arg-type]
    run = await script.next()
    run.open()
    run.end()
    await first.end()

    name = ("ann", "ben")[refused]
    read = (await answered(sessions, script, sends[refused])).split(" | ")
    assert (read[2], read[-1]) == (("ann", "ben")[1 - refused], name)


async def test_cleared_chat_of_a_stock_client_deletes_nothing(
    sessions: Sessions, script: Script
) -> None:
    """A list of which the session has nothing goes to the end."""
    await two_turns(sessions, script)
    read = await answered(sessions, script, send(S, user_message("u3", "three")))
    assert read == "one | re: one | two | re: two | three"


async def test_unknown_parent_is_refused_and_nothing_stored(
    sessions: Sessions, script: Script
) -> None:
    """404: the client loads the messages, and sends once more."""
    before = [message.id for message in await two_turns(sessions, script)]
    with pytest.raises(MessageNotFoundError):
        await sessions.start(
            ALICE, send(S, user_message("u3", "three"), parent_id=MessageId("nowhere"))
        )
    assert [message.id for message in await shown(sessions)] == before


async def test_repeated_send_of_an_older_branch_is_told_its_answer_when_the_chunks_are_gone(
    sessions: Sessions, script: Script, raw_redis: redis.Redis
) -> None:
    """The answer of its run, also once the conversation has gone on from another."""
    request = send(S, user_message("u1", "one"), request_key="k")
    await answered(sessions, script, request)
    answer = await head(sessions)
    await answered(sessions, script, send(S, user_message("v1", "other"), parent_id=None))
    raw_redis.xtrim("ms:{chat-1}:log", maxlen=0)
    again = await Reading(await sessions.start(ALICE, request)).end()
    assert again[0]["messageId"] == answer
    assert "re: one" in str(again)
