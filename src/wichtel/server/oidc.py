"""Login by an OpenID Connect provider: authorization code with PKCE, state and nonce. Needs ``wichtel[oidc]``.

State, nonce and PKCE verifier are made from one secret, which waits in a cookie of the browser: nothing is kept here meanwhile, so any
replica can go on, and an answer that this browser did not ask for fits nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from wichtel.domain import NotFound, NotPermitted, SystemFault, Unavailable

if TYPE_CHECKING:
    import httpx2

    from wichtel.app import App
    from wichtel.settings import Settings
    from wichtel.store import Principal as Account

log = logging.getLogger(__name__)

#: How a provider may sign: by key pairs only, never by a secret that we share with it, nor not at all.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
#: What the clocks of provider and service may differ by.
LEEWAY_SECONDS = 60
_TIMEOUT_SECONDS = 10.0
#: How long what a provider says of itself is believed, and how soon it may be asked again for a key that is new.
_KNOWN_SECONDS = 3600.0
_ASK_AGAIN_SECONDS = 10.0
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class _Known:
    document: Mapping[str, Any]
    keys: Any
    when: float


class Provider:
    """An identity provider, asked as one of its clients.

    Args:
        issuer: Its address, as in its tokens.
        client_id: What it calls us.
        client_secret: What we show it; None if it asks for none.
        scopes: What we ask it for, with spaces between.
    """

    def __init__(self, issuer: str, client_id: str, client_secret: str | None, scopes: str) -> None:
        self._issuer = issuer
        self._client_id = client_id
        self._client_secret = client_secret
        self._scopes = scopes
        self._known: _Known | None = None
        self._lock = threading.Lock()

    @staticmethod
    def of(settings: Settings) -> Provider:
        """The provider that the settings name; the same each time, so that what it says of itself is asked once.

        Raises:
            NotFound: they name none.
        """
        if settings.oidc_issuer is None:
            raise NotFound("no identity provider is set up here.", hint="Log in with a token; an admin sets oidc_issuer.")
        if find_spec("authlib") is None:
            raise SystemFault("the package for such logins is not installed.", hint="pip install 'wichtel[server,oidc]'.")
        secret = settings.oidc_client_secret
        return _provider(settings.oidc_issuer, settings.oidc_client_id, secret and secret.get_secret_value(), settings.oidc_scopes)

    def begin(self, callback: str) -> tuple[str, str]:
        """Where to send the browser, and the secret that it is to bring back as a cookie.

        Raises:
            Unavailable: the provider does not answer.
            SystemFault: what it says cannot be used.
        """
        from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
        from authlib.oauth2.rfc7636 import create_s256_code_challenge

        secret = secrets.token_urlsafe(32)
        address: str = prepare_grant_uri(
            self._said().document["authorization_endpoint"],
            client_id=self._client_id,
            response_type="code",
            redirect_uri=callback,
            scope=self._scopes,
            state=_part(secret, "state"),
            nonce=_part(secret, "nonce"),
            code_challenge=create_s256_code_challenge(_part(secret, "verifier")),
            code_challenge_method="S256",
        )
        return address, secret

    def finish(self, given: Mapping[str, str], secret: str, callback: str) -> dict[str, Any]:
        """The claims of whoever came back with `given` and the cookie `secret`.

        Raises:
            NotPermitted: the provider refused, or something does not fit together.
            Unavailable: the provider does not answer.
            SystemFault: what it says cannot be used.
        """
        if not secret or not hmac.compare_digest(given.get("state", "").encode(), _part(secret, "state").encode()):
            raise NotPermitted("this login was not begun in this browser, or too long ago.", hint="Begin it again.")
        if given.get("iss", self._issuer) != self._issuer:
            raise NotPermitted("another identity provider answered.", hint="Begin the login again.")
        if "code" not in given:
            raise NotPermitted(f"the identity provider refused: {given.get('error', 'no reason')[:100]}.")
        token = self._exchange(given["code"], secret, callback)
        return self._claims(token, _part(secret, "nonce"))

    def _exchange(self, code: str, secret: str, callback: str) -> str:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": callback,
            "client_id": self._client_id,
            "code_verifier": _part(secret, "verifier"),
        }
        document = self._said().document
        auth: tuple[str | bytes, str | bytes] | None = None
        if self._client_secret is not None:
            if "client_secret_basic" in document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"]):
                # Encoded before they are joined (RFC 6749, section 2.3.1).
                auth = (quote(self._client_id, safe=""), quote(self._client_secret, safe=""))
            else:
                form["client_secret"] = self._client_secret
        with self._http(auth) as http:
            answer = self._answered(lambda: http.post(document["token_endpoint"], data=form))
        if answer.status_code >= 500:
            raise Unavailable(f"the identity provider failed with status {answer.status_code}.", where=self._issuer)
        token = _json(answer).get("id_token")
        if answer.status_code != 200 or not isinstance(token, str):
            raise NotPermitted("the identity provider does not vouch for this login.", hint="Begin it again.")
        return token

    def _claims(self, token: str, nonce: str) -> dict[str, Any]:
        from authlib.oidc.core import CodeIDToken
        from joserfc import jwt
        from joserfc.errors import JoseError

        def checked(known: _Known) -> dict[str, Any]:
            read = jwt.decode(token, known.keys, algorithms=list(ALGORITHMS))
            options: Any = {
                "iss": {"essential": True, "value": self._issuer},
                "sub": {"essential": True},
                "aud": {"essential": True, "value": self._client_id},
                "exp": {"essential": True},
            }
            claims = CodeIDToken(read.claims, read.header, options, {"nonce": nonce, "client_id": self._client_id})
            claims.validate(leeway=LEEWAY_SECONDS)
            return dict(claims)

        known = self._said()
        try:
            return checked(known)
        except (JoseError, ValueError) as error:
            first = error
        # It may have changed its keys since we asked.
        newer = self._said(newer_than=known)
        if newer is not known:
            try:
                return checked(newer)
            except (JoseError, ValueError) as error:
                first = error
        # What the token says is nobody's to read in the log; why it was refused is.
        log.warning("a login was refused: %s", type(first).__name__)
        raise NotPermitted(f"the identity provider's token is not valid ({type(first).__name__}).", hint="Begin the login again.")

    def _said(self, *, newer_than: _Known | None = None) -> _Known:
        """What the provider says of itself, with its keys."""
        with self._lock:
            known, now = self._known, time.monotonic()
            age = now - known.when if known is not None else _KNOWN_SECONDS
            if known is not None and age < (_KNOWN_SECONDS if known is not newer_than else _ASK_AGAIN_SECONDS):
                return known
            self._known = self._ask(now)
            return self._known

    def _ask(self, now: float) -> _Known:
        from joserfc.errors import JoseError
        from joserfc.jwk import KeySet

        with self._http() as http:
            place = _safe(self._issuer, self._issuer).rstrip("/") + "/.well-known/openid-configuration"
            document = _json(self._answered(lambda: http.get(place)))
            if document.get("issuer") != self._issuer:
                raise SystemFault(f"the identity provider calls itself {document.get('issuer')!r}.", where=self._issuer)
            for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
                _safe(str(document.get(name, "")), self._issuer)
            keys = _json(self._answered(lambda: http.get(document["jwks_uri"])))
        try:
            return _Known(document, KeySet.import_key_set(keys), now)  # type: ignore[arg-type]
        except (JoseError, ValueError, KeyError, TypeError):
            raise SystemFault("the identity provider has no keys that can be read.", where=self._issuer) from None

    def _http(self, auth: tuple[str | bytes, str | bytes] | None = None) -> httpx2.Client:
        import httpx2

        return httpx2.Client(auth=auth, timeout=_TIMEOUT_SECONDS, follow_redirects=False)

    def _answered(self, ask: Any) -> httpx2.Response:
        import httpx2

        try:
            answer: httpx2.Response = ask()
        except httpx2.HTTPError as error:
            raise Unavailable(f"the identity provider does not answer ({type(error).__name__}).", where=self._issuer) from None
        return answer


@lru_cache(maxsize=8)
def _provider(issuer: str, client_id: str, client_secret: str | None, scopes: str) -> Provider:
    return Provider(issuer, client_id, client_secret, scopes)


def identified(app: App, claims: Mapping[str, Any]) -> Account:
    """The principal that `claims` stand for, with the roles that the settings make of its groups.

    Raises:
        NotPermitted: the claims name nobody, or nobody who may come in.
    """
    settings = app.settings
    name = claims.get(settings.oidc_name_claim)
    if not isinstance(name, str) or not name:
        raise NotPermitted(f"the identity provider tells no {settings.oidc_name_claim}.", hint="An admin sets oidc_name_claim.")
    groups = claims.get(settings.oidc_team_claim, [])
    roles = roles_of([groups] if isinstance(groups, str) else groups, settings.oidc_teams, settings.oidc_default)
    if not roles:
        raise NotPermitted(f"{name} is in no group that may use this service.", hint="An admin sets oidc_teams.")
    email = claims.get("email") if claims.get("email_verified") is True else None
    home, *others = roles.items()
    identity = f"{claims['iss']}#{claims['sub']}"
    # What cannot stand in a name, such as the @ of an address, is left out with what follows it.
    return app.principals.identified(identity, name.partition("@")[0], home=home, teams=dict(others), email=email)


def roles_of(groups: Any, teams: Mapping[str, str], default: str | None) -> dict[str, str]:
    """Team → role, the home first, of somebody in `groups`; an admin's home is the first team, or the default.

    >>> roles_of(["ml", "ops"], {"ops": "ops:viewer", "ml": "ads:editor"}, None)
    {'ops': 'viewer', 'ads': 'editor'}
    """
    ranks = ("viewer", "editor", "approver", "admin")
    member = {g for g in groups if isinstance(g, str)} if isinstance(groups, list) else set()
    said = [what for group, what in teams.items() if group in member]
    roles: dict[str, str] = {}
    for what in [w for w in said if w != "admin"] or ([default] if default and default != "admin" else []):
        team, _, role = what.partition(":")
        roles[team] = max(role, roles.get(team, role), key=ranks.index)
    if "admin" in said or (not said and default == "admin"):
        home = next(iter(roles), "default")
        roles = {home: "admin", **{team: role for team, role in roles.items() if team != home}}
    return roles


def _part(secret: str, what: str) -> str:
    """One of the values that belong to a login, made from its secret: 43 characters, as PKCE wants it."""
    return base64.urlsafe_b64encode(hmac.digest(secret.encode(), f"wichtel {what}".encode(), hashlib.sha256)).decode().rstrip("=")


def _safe(address: str, issuer: str) -> str:
    parts = urlsplit(address)
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        return address
    raise SystemFault(f"{address!r} is no https address.", where=issuer, hint="An identity provider is asked by https only.")


def _json(answer: httpx2.Response) -> dict[str, Any]:
    try:
        found = answer.json()
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise SystemFault(
            f"the identity provider answers something else (status {answer.status_code}).", where=str(answer.url.copy_with(query=None))
        )
    return found
