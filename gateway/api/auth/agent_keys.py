"""Authentication of agents: keys of the operator's own, for programs that write runs.

A key is not a person's: it acts for the user that the request names. Nothing of a key is
ever logged, or sent back.
"""

from __future__ import annotations

import base64
import hmac
import os
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from midstream.api.auth.tokens import tenant_id, user_id
from midstream.errors import UnauthorizedError
from midstream.ids import ANONYMOUS, NO_TENANT, TenantId
from midstream.sessions.access import Caller, Role

if TYPE_CHECKING:
    from collections.abc import Mapping

    from midstream.settings.sections import Settings

KEY_HEADER: Final = "x-midstream-key"
USER_HEADER: Final = "x-midstream-user"


class AgentKey(Struct, frozen=True):
    """A key, and what it admits to.

    Attributes:
        tenant: in which all that it does happens.
        agents: the names as which it may write; empty for any.
        begins: whether it may begin sessions.
    """

    secret: str
    tenant: TenantId = NO_TENANT
    agents: frozenset[str] = frozenset()
    begins: bool = True


class AgentKeys:
    """Admits agents.

    Args:
        keys: by name. Without any, agents are admitted as callers without a token are.
        tokens_required: `auth.mode` is not `none`: without keys no agent may come in, and
            one that names no user is an operator.
    """

    def __init__(self, keys: Mapping[str, AgentKey], *, tokens_required: bool) -> None:
        self._keys = [(name, key.secret.encode(), key) for name, key in keys.items()]
        self._tokens_required = tokens_required

    @property
    def needed(self) -> bool:
        """Whether a request needs a key."""
        return bool(self._keys) or self._tokens_required

    def name_of(self, key: str | None) -> str | None:
        """Return the name of a key that is configured."""
        name, _ = self._find(key)
        return name

    def are_in(self, value: bytes) -> bool:
        """Whether a header's value, or a query, holds one of the keys, in base64 too.

        For callers who have presented a key: its duration depends on the keys.
        """
        said = (value, _decoded(value))
        return any(secret in each for each in said for _, secret, _ in self._keys)

    def _find(self, key: str | None) -> tuple[str | None, AgentKey]:
        """Find a key, in the same time whatever it is; without one, there are no limits."""
        given = (key or "").encode()
        found: tuple[str | None, AgentKey] = None, AgentKey("")
        for name, secret, known in self._keys:
            if hmac.compare_digest(secret, given):
                found = name, known
        return found

    def identify(self, key: str | None, user: str | None) -> Caller:
        """Return for whom an agent acts.

        Args:
            user: that the request names: the `sub` of their tokens. None: the session's owner,
                where people have tokens; otherwise the anonymous user.

        Raises:
            UnauthorizedError: the key is not one of ours, or the user cannot be one.
        """
        name, known = self._find(key)
        if self.needed and name is None:
            raise UnauthorizedError("unable to accept the agent key; it is missing, or not ours")
        return Caller(
            user=user_id(_text_of(user)) if user else ANONYMOUS,
            role=Role.OPERATOR if self._tokens_required and not user else Role.USER,
            tenant=known.tenant,
            agents=known.agents,
            begins=known.begins,
            agent_key=name or "",
        )


def _decoded(value: bytes) -> bytes:
    """Return what `authorization: Basic` says; empty for anything else."""
    scheme, _, text = value.partition(b" ")
    if scheme.lower() != b"basic":
        return b""
    try:
        return base64.b64decode(text.strip())
    except ValueError:
        return b""


def _text_of(header: str) -> str:
    """Return a header's text; it is UTF-8, which servers read as Latin-1."""
    try:
        return header.encode("latin-1").decode()
    except UnicodeError:
        raise UnauthorizedError(
            "unable to read the user; the header x-midstream-user must be UTF-8"
        ) from None


def create_agent_keys(settings: Settings) -> AgentKeys:
    """Read the keys that the settings name from the environment."""
    return AgentKeys(
        {
            name: AgentKey(
                os.environ[key.key_env],
                tenant=tenant_id(key.tenant),
                agents=frozenset(key.agents),
                begins=key.users == "any",
            )
            for name, key in settings.agent_keys.items()
        },
        tokens_required=settings.auth.mode != "none",
    )
