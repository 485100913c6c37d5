"""The two things that can be done with all of a user."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from midstream.sessions.user_data.erasure import Erasure
    from midstream.sessions.user_data.export import Exports


@dataclass(frozen=True, slots=True)
class Users:
    """Erasure and export of users."""

    erasure: Erasure
    exports: Exports
