"""Facts of a queued message's run, kept beside it until it is opened. No client is shown them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Raw, Struct

from midstream.authors import encode_author
from midstream.ids import NO_TENANT, SessionId, TenantId, UserId
from midstream.protocol.messages import UIMessage
from midstream.sessions.access import Caller, Role
from midstream.sessions.types import StartRequest
from midstream.store.records import Trigger

if TYPE_CHECKING:
    from midstream.sessions.types import RunHold
    from midstream.store.queue.state import QueuedMessage

NOTHING: Final = Raw(b"null")


class EntryFacts(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the send has said besides its message, and who sent it.

    `headers`: those that agents get, for a backend of the application's own. `hold`: of the
    sender's limits.
    """

    user: UserId
    name: str = ""
    tenant: TenantId = NO_TENANT
    role: str = Role.USER
    granted: bool = False
    agents: tuple[str, ...] = ()
    agent_key: str = ""
    agent: str | None = None
    model: str | None = None
    request_key: str | None = None
    body: Raw = Raw(b"{}")
    headers: Mapping[str, str] = {}
    hold: Raw = NOTHING


_decoder: Final = msgspec.json.Decoder(EntryFacts)


def facts_of_entry(caller: Caller, request: StartRequest, hold: RunHold | None) -> bytes:
    """Encode what opening the run of a send needs later, maybe in another process."""
    return msgspec.json.encode(
        EntryFacts(
            user=caller.user,
            name=caller.name,
            tenant=caller.tenant,
            role=caller.role,
            granted=request.session_id in caller.granted,
            agents=tuple(sorted(caller.agents)),
            agent_key=caller.agent_key,
            agent=request.agent,
            model=request.model,
            request_key=request.request_key,
            body=request.body,
            headers=request.headers,
            hold=NOTHING if hold is None else Raw(hold.told()),
        )
    )


def sender_of(caller: Caller, tenant: TenantId) -> bytes:
    """Encode who sends to a session of a tenant."""
    return encode_author(caller.author_in(tenant))


def send_of(session_id: SessionId, entry: QueuedMessage) -> tuple[Caller, StartRequest, bytes]:
    """Return the send of an entry: who sent it, what it asks for, and what `RunHold.told` said.

    Raises:
        ValueError: another version wrote what cannot be read.
    """
    facts = _decoder.decode(entry.facts)
    caller = Caller(
        user=facts.user,
        name=facts.name,
        tenant=facts.tenant,
        role=Role(facts.role),
        granted=frozenset({session_id}) if facts.granted else frozenset(),
        agents=frozenset(facts.agents),
        agent_key=facts.agent_key,
    )
    request = StartRequest(
        session_id=session_id,
        messages=(UIMessage.parse(entry.message),),
        trigger=Trigger.SUBMIT,
        agent=facts.agent,
        model=facts.model,
        request_key=facts.request_key,
        body=facts.body,
        headers=facts.headers,
    )
    return caller, request, b"" if facts.hold == NOTHING else bytes(facts.hold)
