"""The audit log: who did what, and who was not let."""

from __future__ import annotations

import logging
import threading
import time
from datetime import datetime
from typing import Any

from wichtel.domain import InvalidInput, WichtelError
from wichtel.experiments.principal import Principal
from wichtel.store import Database, Entry, Page

log = logging.getLogger(__name__)

#: Refusals of one principal, or of one address of strangers, that are noted in a minute; the others are counted.
MOST_DENIED = 20
#: Of all together.
MOST_DENIED_IN_ALL = 200
_MINUTE = 60.0


class Audit:
    """The entries, as far as a principal may see them."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._denied: dict[str, int] = {}
        self._left_out: dict[str, int] = {}
        self._minute = 0.0
        self._lock = threading.Lock()

    def list(
        self,
        reader: Principal,
        *,
        principal: str | None = None,
        subject: str | None = None,
        action: str | None = None,
        outcome: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[Entry]:
        """Newest first. Admins see all; others what they did, and what was done in their teams.

        Raises:
            InvalidInput: the cursor is none of ours.
        """
        if cursor is not None and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
            raise InvalidInput(f"{cursor!r} is no cursor of this list.", where="cursor", hint="Take it from the page before.")
        everything = reader.may("see_audit")
        with self._db.read() as tx:
            found = tx.audit.list(
                principal=principal,
                subject=subject,
                action=action,
                outcome=outcome,
                since=since,
                until=until,
                limit=limit,
                before=None if cursor is None else int(cursor),
                reader=None if everything else reader.name,
                teams=() if everything else tuple(reader.teams),
            )
        return Page(items=tuple(found), cursor=str(found[-1].number) if len(found) == limit else None)

    def denied(self, who: str, action: str, subject: str, detail: dict[str, Any], *, group: str | None = None) -> None:
        """Note that `who` was not let; not more often than the limits above, so that nobody can flood the log.

        Args:
            group: Whose refusals are counted together; by default those of `who`.
        """
        group = group or who
        with self._lock:
            if time.monotonic() - self._minute >= _MINUTE:
                self._minute, self._denied = time.monotonic(), {}
            if self._denied.get(group, 0) >= MOST_DENIED or sum(self._denied.values()) >= MOST_DENIED_IN_ALL:
                # Strangers come under many names, which must not fill the memory either.
                key = group if len(self._left_out) < MOST_DENIED_IN_ALL else ""
                self._left_out[key] = self._left_out.get(key, 0) + 1
                return
            self._denied[group] = self._denied.get(group, 0) + 1
            more = self._left_out.pop(group, 0) + self._left_out.pop("", 0)
        try:
            with self._db.transaction() as tx:
                tx.audit.add(who, action, subject[:500], {**detail, **({"not_noted_before": more} if more else {})}, outcome="denied")
        except WichtelError as error:
            # Whoever was refused is refused all the same.
            log.warning("a refusal could not be noted: %s", error)
