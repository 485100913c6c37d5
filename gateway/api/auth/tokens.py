"""Authentication of callers: none, or JSON Web Tokens of the operator's own issuer.

PyJWT does the cryptography. What is ours: where a token may be, which algorithms fit which
key, which claims a token must have, and what they grant (`sessions/access.py`). No part of
a token is ever logged, or sent back.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import jwt
import msgspec
from jwt import PyJWKClient, PyJWKSet
from msgspec import Struct

from midstream.authors import clean_name
from midstream.errors import GatewayError, SettingsError, UnauthorizedError
from midstream.ids import MAX_ID_LENGTH, SessionId, TenantId, UserId, escaped
from midstream.sessions.access import Caller, Role
from midstream.telemetry import redact_url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jwt import PyJWK

    from midstream.settings.sections import AuthSettings

logger = logging.getLogger(__name__)

SECRET_ALGORITHMS: Final = ("HS256",)
KEY_ALGORITHMS: Final = frozenset({"RS256", "ES256"})
"""Algorithms of a JWKS. No HMAC: its key would be public."""

JWKS_TIMEOUT_S: Final = 5.0
JWKS_COOLDOWN_S: Final = 10.0
"""Between two readings, whatever tokens come: made-up key ids must not hammer the issuer."""


class KeysUnavailableError(GatewayError):
    """The issuer's keys cannot be had now."""

    code = "keys_unavailable"
    http_status = 503
    ws_close_code = 4002
    temporary = True


class Authenticator(Protocol):
    """Tells who a caller is by their token."""

    async def start(self) -> None:
        """Get what is needed to check tokens.

        Raises:
            SettingsError: it can never be had.
        """
        ...

    async def identify(self, token: str | None) -> Caller:
        """Return the caller.

        Raises:
            UnauthorizedError, KeysUnavailableError.
        """
        ...


class Anonymous:
    """Everybody is the same caller. For loopback, or behind something that authenticates."""

    async def start(self) -> None:
        """Do nothing."""

    async def identify(self, token: str | None) -> Caller:
        """Return the anonymous caller, whatever the token."""
        return Caller()


class TokenClaims(Struct, frozen=True):
    """Claims of a token, besides those that PyJWT checks."""

    sub: str
    sessions: list[str] = []
    role: Role = Role.USER


class JsonWebTokens:
    """Callers by token; `exp` and `sub` are required."""

    def __init__(self, settings: AuthSettings, keys: TokenKeys) -> None:
        self._settings = settings
        self._keys = keys

    async def start(self) -> None:
        """Read the keys for the first time."""
        await self._keys.start()

    async def identify(self, token: str | None) -> Caller:
        """Check the token and return what it grants."""
        if not token:
            raise UnauthorizedError("unable to identify the caller; send a bearer token")
        settings = self._settings
        try:
            key, algorithms = await self._keys.find(jwt.get_unverified_header(token))
            payload = jwt.decode(
                token,
                key,
                algorithms=list(algorithms),
                audience=settings.audience or None,
                issuer=settings.issuer or None,
                leeway=settings.leeway_s,
                options={"require": ["exp", "sub"], "verify_aud": bool(settings.audience)},
            )
            claims = msgspec.convert(payload, TokenClaims)
        except (jwt.PyJWTError, msgspec.ValidationError, ValueError) as error:
            logger.info("token_refused reason=%s", type(error).__name__)
            raise UnauthorizedError(
                "unable to accept the token; it is expired, or not one of the issuer's"
            ) from None
        return Caller(
            user=user_id(claims.sub),
            name=_name_of(payload),
            tenant=_tenant_of(payload, settings.tenant_claim),
            role=claims.role,
            granted=frozenset(map(SessionId, claims.sessions)),
            # Until then the same token is accepted again.
            expires_at=int(payload["exp"]) + settings.leeway_s,
        )


class TokenKeys(Protocol):
    """Source of the keys that verify tokens."""

    async def start(self) -> None:
        """Read them for the first time."""
        ...

    async def find(self, header: dict[str, Any]) -> tuple[str | PyJWK, tuple[str, ...]]:
        """Return the key for a token's header, and the algorithms that fit that key.

        Raises:
            jwt.PyJWTError: there is none.
        """
        ...


class SharedSecret:
    """One HS256 secret."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    async def start(self) -> None:
        """Do nothing."""

    async def find(self, header: dict[str, Any]) -> tuple[str | PyJWK, tuple[str, ...]]:
        """Return the secret."""
        return self._secret, SECRET_ALGORITHMS


class PublicKeys:
    """A JWKS from a file or a URL: cached, read again off the event loop.

    An unknown key id reads it at once, if the cooldown allows. While it cannot be read, the
    known keys stay valid.
    """

    def __init__(self, source: str, max_age_s: float) -> None:
        self._source = source
        self._max_age_s = max_age_s
        self._keys: dict[str | None, PyJWK] = {}
        self._read_at: float | None = None
        self._tried_at: float | None = None
        self._reading = asyncio.Lock()

    async def start(self) -> None:
        """Read the keys; a file must be there, an issuer may be away for now."""
        await self._refresh()
        if not self._keys and not self._source.startswith("https://"):
            raise SettingsError(
                f"unable to read keys from {self._source}; set `auth.jwks` to a JWKS file "
                "with RS256 or ES256 keys, or to an https:// URL"
            )

    async def find(self, header: dict[str, Any]) -> tuple[str | PyJWK, tuple[str, ...]]:
        """Return the key with the header's `kid`; the only key, if the header has none."""
        kid = header.get("kid")
        if self._is_old() or kid not in self._keys:
            await self._refresh()
        if not self._keys:
            raise KeysUnavailableError("unable to check tokens at the moment; try again")
        key = next(iter(self._keys.values())) if self._is_only_key(kid) else self._keys.get(kid)
        if key is None:
            raise jwt.InvalidKeyError("unknown key id")
        return key, (key.algorithm_name,)

    def _is_only_key(self, kid: str | None) -> bool:
        return kid is None and len(self._keys) == 1

    def _is_old(self) -> bool:
        return self._read_at is None or time.monotonic() - self._read_at > self._max_age_s

    async def _refresh(self) -> None:
        async with self._reading:
            now = time.monotonic()
            if self._tried_at is not None and now - self._tried_at < JWKS_COOLDOWN_S:
                return
            self._tried_at = now
            try:
                found = await asyncio.to_thread(self._read)
            except (jwt.PyJWTError, OSError, ValueError) as error:
                logger.warning(
                    "keys_not_read source=%s reason=%s",
                    redact_url(self._source),
                    type(error).__name__,
                )
                return
            self._keys = {
                key.key_id: key for key in found.keys if key.algorithm_name in KEY_ALGORITHMS
            }
            self._read_at = now

    def _read(self) -> PyJWKSet:
        if self._source.startswith("https://"):
            client = PyJWKClient(self._source, cache_jwk_set=False, timeout=JWKS_TIMEOUT_S)
            return client.get_jwk_set()
        return PyJWKSet.from_json(Path(self._source).read_text(encoding="utf-8"))


def user_id(subject: str) -> UserId:
    """Return the id of a token's subject, which may be any text; see `escaped`.

    Raises:
        UnauthorizedError: empty, or too long.
    """
    encoded = escaped(subject)
    if not 0 < len(encoded) <= MAX_ID_LENGTH:
        raise UnauthorizedError(
            f"unable to accept the token; its subject must be 1 to {MAX_ID_LENGTH} characters"
        )
    return UserId(encoded)


def tenant_id(text: str) -> TenantId:
    """Return the id of a tenant, which may be any text; empty for none. See `escaped`.

    Raises:
        UnauthorizedError: too long.
    """
    encoded = escaped(text)
    if len(encoded) > MAX_ID_LENGTH:
        raise UnauthorizedError(
            f"unable to accept the token; its tenant must be at most {MAX_ID_LENGTH} characters"
        )
    return TenantId(encoded)


def _tenant_of(payload: Mapping[str, object], claim: str) -> TenantId:
    """Return a token's tenant. What is there and no text is a mistake, and no tenant's."""
    value = payload.get(claim, "")
    if not isinstance(value, str):
        raise UnauthorizedError(f"unable to accept the token; its claim `{claim}` must be text")
    return tenant_id(value)


def _name_of(payload: Mapping[str, object]) -> str:
    """Return the name in a token. It grants nothing, so what is no text is no name."""
    name = payload.get("name")
    return clean_name(name) if isinstance(name, str) else ""


def create_authenticator(settings: AuthSettings) -> Authenticator:
    """Make what the settings ask for; secrets are read from the environment here."""
    if settings.mode == "none":
        return Anonymous()
    if settings.jwks:
        return JsonWebTokens(settings, PublicKeys(settings.jwks, settings.jwks_max_age_s))
    return JsonWebTokens(settings, SharedSecret(os.environ[settings.secret_env]))
