"""Whose data a caller may export and erase."""

from __future__ import annotations

from typing import TYPE_CHECKING

from midstream.errors import ForbiddenError, InvalidRequestError
from midstream.ids import ANONYMOUS
from midstream.sessions.access import Role

if TYPE_CHECKING:
    from midstream.ids import TenantId, UserId
    from midstream.sessions.access import Caller


def check_user(caller: Caller, user: UserId, tenant: TenantId) -> None:
    """Raise unless the caller may have all of a user: of themselves, or as an operator.

    Raises:
        ForbiddenError: another's, without the role.
        InvalidRequestError: this gateway does not tell users apart.
    """
    if caller.user == ANONYMOUS and caller.role is Role.USER:
        raise InvalidRequestError(
            "unable to tell users apart; this needs `auth`, and a token that names you"
        )
    if caller.agent_key:
        raise ForbiddenError("unable to do this with an agent key; use a token of the user's")
    own = (caller.user, caller.tenant) == (user, tenant)
    trusted = caller.role is Role.OPERATOR and caller.tenant == tenant
    if not (own or trusted or caller.role is Role.ADMIN):
        raise ForbiddenError(
            "unable to do this for another user; that takes the role `operator` in their tenant"
        )
