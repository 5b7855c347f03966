"""Names that there are: what somebody may mean who has begun to type one."""

from __future__ import annotations

from wichtel.store import Database

#: Of the names of a field, so many are looked through.
_MOST = 500


class Vocabulary:
    """The names that experiments have.

    Args:
        db: Where they live.
    """

    def __init__(self, db: Database) -> None:
        self._db = db

    def names(self, field: str, begun: str = "", limit: int = 12) -> list[str]:
        """Names with `begun` in them, whatever the case; those that begin with it first.

        Args:
            field: ``owner``, ``intent``, ``protocol``, ``model``, ``team`` or ``metric``.
            begun: What there is of a name.
            limit: Most that are told.
        """
        wanted = begun.lower()
        with self._db.read() as tx:
            known = tx.known_names.of(field, limit=_MOST)
            if len(known) == _MOST:
                # There are more; of these at least those that begin so.
                known = list(dict.fromkeys([*tx.known_names.of(field, begin=begun, limit=limit), *known]))
        found = [name for name in known if wanted in name.lower()]
        return sorted(found, key=lambda name: not name.lower().startswith(wanted))[:limit]
