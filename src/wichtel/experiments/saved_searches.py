"""Searches that are kept under names, for oneself or for a team."""

from __future__ import annotations

import builtins
from dataclasses import dataclass

from wichtel.domain import AlreadyExists, InvalidInput, NotFound, SavedSearch, Sort, parse_query
from wichtel.experiments.ids import new_id
from wichtel.experiments.principal import Principal
from wichtel.store import Database, Transaction

#: Nobody finds anything among more.
MOST = 200
_MOST_CHARACTERS = 80
_MOST_COLUMNS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveSearch:
    """A saved search as it is to be."""

    #: How its owner calls it.
    name: str
    #: In the language of searches.
    query: str = ""
    #: As in searches.
    sort: str = "-created"
    #: What pages show of each experiment; none stand for what the reader likes.
    columns: tuple[str, ...] = ()
    #: The team that sees it too; empty for nobody.
    team: str = ""


class SavedSearches:
    """The saved searches.

    Args:
        db: Where they live.
    """

    def __init__(self, db: Database) -> None:
        self._db = db

    def list(self, principal: Principal) -> builtins.list[SavedSearch]:
        """The principal's own and those that are shared with its teams, by name."""
        with self._db.read() as tx:
            return tx.saved_searches.of(principal.name, principal.teams)

    def get(self, identity: str, principal: Principal) -> SavedSearch:
        """One of them.

        Raises:
            NotFound: there is none, or none that `principal` may know of.
        """
        with self._db.read() as tx:
            return _seen(tx, identity, principal)

    def add(self, request: SaveSearch, principal: Principal) -> SavedSearch:
        """Keep a search.

        Raises:
            AlreadyExists: the principal has one of that name.
            InvalidInput: what is no name, query or order, or too many searches.
            NotPermitted: it is to be shared with a team of which `principal` is no editor.
        """
        _permit(principal, principal.name, request.team)
        _check(request)
        with self._db.transaction() as tx:
            tx.exclusive(f"saved searches of {principal.name}")
            if len(tx.saved_searches.of(principal.name)) >= MOST:
                raise InvalidInput(f"{principal.name} has {MOST} saved searches already.", hint="Delete one first.")
            made = SavedSearch(
                id=new_id("q"),
                owner=principal.name,
                name=request.name,
                query=request.query,
                sort=request.sort,
                columns=request.columns,
                team=request.team,
                created=tx.now,
            )
            _keep(tx, made, "add_saved_search", principal)
        return made

    def put(self, identity: str, request: SaveSearch, principal: Principal) -> SavedSearch:
        """Change one, of which the owner stays.

        Raises:
            NotFound: there is none, or none that `principal` may know of.
            AlreadyExists: its owner has another of that name.
            InvalidInput: what is no name, query or order.
            NotPermitted: it is another's, or to be shared with a team of which `principal` is no editor.
        """
        _check(request)
        with self._db.transaction() as tx:
            known = _changed(tx, identity, principal)
            if request.team != known.team:
                # Only its owner takes it away from others, or hands it on to more.
                principal.permit("save_search", owner=known.owner)
                _permit(principal, known.owner, request.team)
            tx.exclusive(f"saved searches of {known.owner}")
            made = SavedSearch(
                id=known.id,
                owner=known.owner,
                name=request.name,
                query=request.query,
                sort=request.sort,
                columns=request.columns,
                team=request.team,
                created=known.created,
            )
            _keep(tx, made, "change_saved_search", principal)
        return made

    def delete(self, identity: str, principal: Principal) -> None:
        """Forget one.

        Raises:
            NotFound: there is none, or none that `principal` may know of.
            NotPermitted: it is another's.
        """
        with self._db.transaction() as tx:
            known = _changed(tx, identity, principal)
            tx.saved_searches.delete(identity)
            tx.audit.add(principal.name, "delete_saved_search", identity, {"name": known.name}, team=known.team or None)


def _permit(principal: Principal, owner: str, team: str) -> None:
    if team:
        principal.permit("save_search", team=team)
    else:
        principal.permit("save_search", owner=owner)


def _seen(tx: Transaction, identity: str, principal: Principal) -> SavedSearch:
    found = tx.saved_searches.find(identity)
    if found is None or (found.owner != principal.name and found.team not in principal.teams):
        raise NotFound(f"there is no saved search {identity!r}.", hint="See `wichtel searches list`.")
    return found


def _changed(tx: Transaction, identity: str, principal: Principal) -> SavedSearch:
    try:
        found = _seen(tx, identity, principal)
    except NotFound:
        # Who could change none at all is told so.
        principal.permit("save_search", owner=principal.name)
        raise
    principal.permit("save_search", owner=found.owner, team=found.team or None)
    return found


def _keep(tx: Transaction, search: SavedSearch, action: str, principal: Principal) -> None:
    other = tx.saved_searches.named(search.owner, search.name)
    if other is not None and other.id != search.id:
        raise AlreadyExists(f"{search.owner} has a saved search {search.name!r} already.", where="name", hint="Choose another name.")
    tx.saved_searches.put(search)
    tx.audit.add(principal.name, action, search.id, {"name": search.name, "query": search.query}, team=search.team or None)


def _check(request: SaveSearch) -> None:
    """Refuse what could not be shown or asked.

    Raises:
        InvalidInput: it could not.
    """
    name = request.name
    if not name.strip() or name != name.strip() or len(name) > _MOST_CHARACTERS or not name.isprintable():
        hint = f"It is what the page shows: 1 to {_MOST_CHARACTERS} characters, no space at its ends."
        raise InvalidInput(f"{name[:20]!r}{'…' if len(name) > 20 else ''} is no name for a search.", where="name", hint=hint)
    parse_query(request.query)
    Sort.read(request.sort)
    if len(request.columns) > _MOST_COLUMNS or not all(len(c) <= 200 and c.isprintable() for c in request.columns):
        raise InvalidInput(f"at most {_MOST_COLUMNS} columns, each a name.", where="columns")
