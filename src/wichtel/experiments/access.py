"""Who comes in. Tokens are stored hashed; each is shown once, when it is made.

Every request asks the database whose token it carries: one query by keys, well under a millisecond. Nothing is cached, so that a token
that is revoked, or a principal that is disabled, is out at once at every replica.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from wichtel.domain import AlreadyExists, InvalidInput, NotFound, NotPermitted, WichtelError, check_name
from wichtel.experiments.permissions import Role, Scope, role_of, scopes_of
from wichtel.experiments.principal import Principal
from wichtel.store import Database, Token, Transaction

log = logging.getLogger(__name__)

__all__ = ["Access", "NewToken", "Principal", "Role", "digest", "role_of"]

#: A use that is this much later than the one noted is noted in its place.
USE_IS_NOTED_AFTER = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """A token, told this once: only its hash is kept."""

    token: str
    #: Its public part, under which it is listed and revoked.
    id: str


class Access:
    """Principals as they come in, and their tokens."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._uses = Uses()

    def initialise(self) -> str | None:
        """Make the first admin. Return its token, which nobody can read again, or None if there is a principal already."""
        made = _new_token()
        try:
            with self._db.transaction() as tx:
                if tx.principals.list():
                    return None
                tx.principals.add("admin", team="default", role="admin")
                tx.tokens.add("admin", digest(made.token), identity=made.id, label="first")
                tx.audit.add("admin", "initialise", "server", {})
        except AlreadyExists:
            # Another replica, which started in the same moment, was first.
            return None
        return made.token

    def authenticate(self, token: str) -> Principal:
        """Whose token this is.

        Raises:
            NotPermitted: nobody's, it has expired, or its principal is disabled.
        """
        hashed = digest(token)
        with self._db.read() as tx:
            found = tx.tokens.by_hash(hashed)
        if found is None:
            raise NotPermitted("the token is not valid, or no longer.", hint="Set WICHTEL_TOKEN, or ask an admin for a new one.")
        if found.last_used is None or datetime.now(UTC) - found.last_used > USE_IS_NOTED_AFTER:
            self._uses.note(hashed, lambda: self._note_use(hashed))
        return Principal.of(found.principal, found.scopes)

    def _note_use(self, hashed: str) -> None:
        with self._db.transaction() as tx:
            tx.tokens.used(hashed)

    def create_token(
        self,
        principal: Principal,
        name: str | None = None,
        *,
        role: str | None = None,
        team: str | None = None,
        scopes: Sequence[str] = (),
        label: str = "",
        expires: datetime | None = None,
    ) -> str:
        """As `make_token`; return the token alone."""
        return self.make_token(principal, name, role=role, team=team, scopes=scopes, label=label, expires=expires).token

    def make_token(
        self,
        principal: Principal,
        name: str | None = None,
        *,
        role: str | None = None,
        team: str | None = None,
        scopes: Sequence[str] = (),
        label: str = "",
        expires: datetime | None = None,
    ) -> NewToken:
        """Make a token.

        Args:
            principal: Who asks.
            name: Whom it is for: by default whoever asks; admins make them for everybody.
            role: Makes `name` a principal with this role, if it is none yet.
            team: Its home, then.
            scopes: What the token may be used for; none for all that its principal may do.
            label: What it is for, in words.
            expires: Aware; None for never.

        Raises:
            NotPermitted: it is for somebody else, and `principal` is no admin; or it is to have more scopes than the token that asks.
            InvalidInput: `name` is known with another role or team, a scope does not exist, or `expires` has no time zone or is past.
            NotFound: `name` is no principal, and there is no `role`.
        """
        name = name or principal.name
        principal.permit("create_token" if name == principal.name and role is None else "create_token_for")
        wanted = scopes_of(scopes)
        for scope in wanted:
            principal.need_scope(scope, to="give it on")
        if len(label) > 200:
            raise InvalidInput("this is longer than 200 characters.", where="label")
        if expires is not None and expires.tzinfo is None:
            raise InvalidInput(f"{expires.isoformat()} needs a time zone.", where="expires", hint=f"For example {expires.isoformat()}Z.")
        made = _new_token()
        with self._db.transaction() as tx:
            if expires is not None and expires <= tx.now:
                raise InvalidInput(f"{expires.isoformat()} is past.", where="expires")
            if role is not None:
                _ensure(tx, name, role=role_of(role), team=team or "default")
            tx.tokens.add(
                name,
                digest(made.token),
                scopes=() if Scope.ADMIN in wanted else sorted(wanted),
                expires=expires,
                identity=made.id,
                label=label,
            )
            account = tx.principals.get(name)
            detail = {"id": made.id, "label": label, "scopes": sorted(wanted), "role": account.role, "team": account.team}
            tx.audit.add(principal.name, "create_token", name, detail, team=account.team)
        return made

    def tokens(self, principal: Principal, name: str | None = None, *, everyone: bool = False) -> list[Token]:
        """Tokens, without their secrets.

        Args:
            principal: Who asks.
            name: Whose; by default those of whoever asks.
            everyone: All there are.

        Raises:
            NotPermitted: they are somebody else's, and `principal` is no admin.
        """
        name = name or principal.name
        if everyone or name != principal.name:
            principal.permit("see_tokens")
        with self._db.read() as tx:
            return tx.tokens.list(None if everyone else name)

    def revoke_token(self, identity: str, principal: Principal) -> None:
        """End a token, and the sessions that were made with it, at once.

        Raises:
            NotFound: there is none with that public part, or none that `principal` may know of.
            NotPermitted: the token that asks is not for that.
        """
        with self._db.transaction() as tx:
            try:
                hashed, token = tx.tokens.by_id(identity)
            except NotFound:
                principal.permit("revoke_token", owner=principal.name)
                raise
            owner = token.principal.name
            principal.permit("revoke_token", owner=owner)
            tx.tokens.revoke(hashed)
            tx.audit.add(principal.name, "revoke_token", owner, {"id": token.id, "label": token.label}, team=token.principal.team)

    def close(self) -> None:
        """Finish what is being noted."""
        self._uses.close()


class Uses:
    """Notes in the background when something was used, so that no request waits for it."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._underway: set[str] = set()
        self._lock = threading.Lock()
        self._closed = False

    def note(self, key: str, write: Callable[[], None]) -> None:
        """Have `write` called, unless that is under way for `key` already."""
        with self._lock:
            if key in self._underway or self._closed:
                return
            self._underway.add(key)
            if self._pool is None:
                self._pool = ThreadPoolExecutor(1, thread_name_prefix="wichtel-uses")
            self._pool.submit(self._write, key, write)

    def _write(self, key: str, write: Callable[[], None]) -> None:
        try:
            write()
        except WichtelError as error:
            log.warning("a use could not be noted: %s", error)
        finally:
            with self._lock:
                self._underway.discard(key)

    def close(self) -> None:
        """Wait for what is under way; note nothing more."""
        with self._lock:
            self._closed = True
        if self._pool is not None:
            self._pool.shutdown()


def _ensure(tx: Transaction, name: str, *, role: Role, team: str) -> None:
    known = tx.principals.find(name)
    if known is None:
        check_principal(name)
        check_name(team, what="team")
        tx.principals.add(name, team=team, role=role.name.lower())
    elif (known.role, known.team) != (role.name.lower(), team):
        raise InvalidInput(
            f"{name} is {known.role} of team {known.team}, not {role.name.lower()} of {team}.", hint="Leave role and team out."
        )


def check_principal(name: str) -> str:
    """Return `name` if it can name a principal, which a model may be called but for the ``/``.

    Raises:
        InvalidInput: it cannot.
    """
    if "/" in check_name(name, what="principal"):
        raise InvalidInput(f"{name!r} cannot name a principal.", hint="Use letters, digits, '.', '_', '-'.")
    return name


def _new_token() -> NewToken:
    identity = secrets.token_hex(5)
    return NewToken(token=f"wt_{identity}_{secrets.token_urlsafe(32)}", id=identity)


def digest(secret: str) -> str:
    """What of a token or cookie is stored."""
    # It has 256 bits of entropy, so a plain digest cannot be guessed back and needs no salt.
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()
