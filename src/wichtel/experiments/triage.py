"""Failures that somebody has to look into, as the API offers them."""

from __future__ import annotations

from wichtel.domain import InvalidInput
from wichtel.experiments.principal import Principal
from wichtel.store import Case, Database, Page, TriageState

_MOST_NOTE = 4000


class Triage:
    """Cases: failures that are the same, as far as one can tell."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def list(self, *, state: TriageState | None = None, limit: int = 100, cursor: str | None = None) -> Page[Case]:
        """Those in `state`, or all; the latest first."""
        with self._db.read() as tx:
            return tx.triage.list(state=state, limit=limit, cursor=cursor)

    def get(self, fingerprint: str) -> Case:
        """One case.

        Raises:
            NotFound: there is none.
        """
        with self._db.read() as tx:
            return tx.triage.get(fingerprint)

    def resolve(self, fingerprint: str, state: TriageState, note: str, principal: Principal) -> Case:
        """Say what became of it. A case that was fixed is open again when it happens again.

        Raises:
            NotFound: there is none.
            InvalidInput: too long a note.
            NotPermitted: the principal is no admin.
        """
        principal.permit("resolve_case")
        if len(note) > _MOST_NOTE:
            raise InvalidInput(f"this is longer than {_MOST_NOTE} characters.", where="note")
        with self._db.transaction() as tx:
            tx.triage.set_state(fingerprint, state, note, principal.name)
            tx.audit.add(principal.name, "resolve_case", fingerprint, {"state": state, "note": note})
            return tx.triage.get(fingerprint)
