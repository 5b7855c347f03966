"""Queries as conditions on the tables, and orders as stages of pages. Whatever a user wrote is a bound parameter."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from functools import reduce
from typing import Any

import sqlalchemy as sa

from wichtel.domain import Query, Sort
from wichtel.domain.query import FIELDS, TEXT_FIELDS, And, Compare, FieldKind, Match, Moment, Not, Or, Pattern, Value, Word
from wichtel.store.page import Sieve, Stage
from wichtel.store.tables import experiments, metric_deltas, models, trigrams
from wichtel.store.types import Time

#: Where fields are that do not have a column of their name.
_ELSEWHERE = {"team": experiments.c.quota_group, "duration": experiments.c.duration_seconds}
_COLUMNS: dict[str, sa.Column[Any]] = {
    name: _ELSEWHERE[name] if name in _ELSEWHERE else experiments.c[name] for name, field in FIELDS.items() if not field.of_metric
}


#: For what means the same at any time.
_EVER = datetime(2000, 1, 1, tzinfo=UTC)
#: Those that an index has in the order of time.
_BY_TIME = frozenset({"model", "protocol", "intent", "owner", "quota_group", "status"})


def condition(query: Query, *, now: Callable[[], datetime], dialect: str) -> sa.ColumnElement[bool]:
    """Whether a row of `experiments` fits `query`; never null, so that the opposite is its opposite.

    Args:
        query: What is asked.
        now: Tells what times such as ``-7d`` count from. Asked only if there are such.
        dialect: ``sqlite`` or ``postgresql``.
    """
    return _Conditions(now, dialect).of(query)


def sift(query: Query, *, now: Callable[[], datetime], dialect: str) -> tuple[Query, Sieve | None]:
    """`query` without the words that all of its answers contain, and these."""
    terms = query.terms if isinstance(query, And) else (query,)
    words = And(tuple(term for term in terms if _is_text(term)))
    if dialect != "postgresql" or not words.terms:
        return query, None
    rest = And(tuple(term for term in terms if not _is_text(term)))
    plain, indexed = (_Conditions(now, dialect, trigrams=use).of(words) for use in (False, True))
    return rest, Sieve(plain, indexed)


def _is_text(term: Query) -> bool:
    return isinstance(term, Word) or (isinstance(term, Match) and FIELDS[term.field].kind is FieldKind.TEXT)


class _Conditions:
    def __init__(self, now: Callable[[], datetime], dialect: str, *, trigrams: bool = True) -> None:
        self.now = now
        self.dialect = dialect
        self.trigrams = trigrams and dialect == "postgresql"

    def of(self, query: Query) -> sa.ColumnElement[bool]:
        match query:
            case And():
                return sa.and_(sa.true(), *map(self.of, query.terms))
            case Or():
                return sa.or_(sa.false(), *map(self.of, query.terms))
            case Not(term=Match() | Compare() as term) if term.metric:
                # A database turns this into a join, which it does not with the opposite of IN.
                fit = self.of_metric(term).where(metric_deltas.c.experiment == experiments.c.id)
                return sa.not_(sa.exists(fit.correlate(experiments)))
            case Not():
                return sa.not_(self.of(query.term))
            case Word():
                # A word is looked for anywhere, a pattern's ends as well.
                anywhere = Pattern(("", *query.pattern.parts, ""))
                texts: list[sa.ColumnElement[str]] = [_COLUMNS[name] for name in TEXT_FIELDS]
                # All at once is faster, where nothing can begin in one and end in another.
                whole = sum(map(bool, query.pattern.parts)) <= 1 and not any(_BETWEEN in part for part in query.pattern.parts)
                among = [reduce(_joined, texts)] if whole else texts
                return self.with_trigrams(sa.or_(*(self.like(text, anywhere) for text in among)), anywhere)
            case Match() | Compare():
                if query.metric:
                    return experiments.c.id.in_(self.of_metric(query))
                column = _COLUMNS[query.field]
                holds = self.holds(query, column)
                return sa.and_(column.is_not(None), holds) if column.nullable else holds

    def of_metric(self, term: Match | Compare) -> sa.Select[tuple[str]]:
        """The experiments whose metric does so."""
        column = metric_deltas.c[term.field]
        return sa.select(metric_deltas.c.experiment).where(
            metric_deltas.c.metric == term.metric, column.is_not(None), self.holds(term, column)
        )

    def holds(self, term: Match | Compare, column: sa.Column[Any]) -> sa.ColumnElement[bool]:
        if isinstance(term, Match):
            return self.matches(FIELDS[term.field].kind, column, term.values)
        return self.compares(column, term.operator, term.value)

    def matches(self, kind: FieldKind, column: sa.Column[Any], values: Iterable[Value]) -> sa.ColumnElement[bool]:
        patterns = [value for value in values if isinstance(value, Pattern)]
        given = column.is_not(None) if column.nullable or not isinstance(column.type, sa.Text) else column != ""
        if kind is FieldKind.TEXT:
            # Also of nothing: a part of every text.
            inside = [None if pattern.anything else Pattern(("", *pattern.parts, "")) for pattern in patterns]
            return sa.or_(*(given if p is None else self.with_trigrams(self.like(column, p), p) for p in inside))
        if any(pattern.anything for pattern in patterns):
            return given
        exact = [pattern.exact for pattern in patterns if pattern.exact is not None]
        wild = [pattern for pattern in patterns if pattern.exact is None]
        either = [self.equals(column, value) for value in values if not isinstance(value, Pattern)]
        if kind is FieldKind.WORD:
            # There are few: naming them lets an index answer.
            exact += [word for word in FIELDS[column.name].words if any(_fits(word, pattern) for pattern in wild)]
            return column.in_(exact)
        if exact:
            either.append(column.in_(exact) if len(exact) > 1 else column == exact[0])
        if wild and column is experiments.c.model:
            # Models are fewer than experiments, and each has its experiments in an index.
            names = sa.select(models.c.name).where(sa.or_(*(self.like(models.c.name, pattern) for pattern in wild)))
            either.append(column.in_(names))
        else:
            either += [self.like(column, pattern) for pattern in wild]
        return sa.or_(*either)

    def with_trigrams(self, fits: sa.ColumnElement[bool], pattern: Pattern) -> sa.ColumnElement[bool]:
        """`fits`, which says that one of `TEXT_FIELDS` is like `pattern`, with what an index can answer."""
        found = {text[at : at + 3] for text in map(_lower, pattern.parts) for at in range(len(text) - 2)}
        if not self.trigrams or not found:
            return fits
        # Last, because taking a row apart costs more than comparing it.
        return sa.and_(fits, trigrams.contains(sa.literal(sorted(found), trigrams.type)))

    def like(self, column: sa.ColumnElement[str], pattern: Pattern) -> sa.ColumnElement[bool]:
        """Ignoring the case of ASCII letters, on both databases."""
        text = "%".join(_escaped(part) for part in pattern.parts)
        plain = sa.func.lower(sa.collate(column, "C") if self.dialect == "postgresql" else column)
        return plain.like(_lower(text), escape="!")

    def equals(self, column: sa.Column[Any], value: Moment | float) -> sa.ColumnElement[bool]:
        if not isinstance(value, Moment):
            return column == _number(column, value)
        begin, after = self.span(value)
        return sa.and_(column >= _time(begin), column < _time(after))

    def span(self, moment: Moment) -> tuple[datetime, datetime]:
        # To ask the database what time it is takes as long as many a search.
        return moment.span(_EVER if moment.lasting else self.now())

    def compares(self, column: sa.Column[Any], operator: str, value: Moment | float) -> sa.ColumnElement[bool]:
        if isinstance(value, Moment):
            begin, after = self.span(value)
            # After a day is after the last moment of it.
            if operator in (">", "<="):
                return column >= _time(after) if operator == ">" else column < _time(after)
            return column >= _time(begin) if operator == ">=" else column < _time(begin)
        number = _number(column, value)
        if operator in (">", ">="):
            return column > number if operator == ">" else column >= number
        return column < number if operator == "<" else column <= number


def stages(sort: Sort, rows: sa.Select[Any], sieve: Sieve | None = None) -> list[Stage]:
    """`rows` of experiments in the order of `sort`: first those that have a value, then the others by when they were registered."""
    identity, created = experiments.c.id, experiments.c.created
    others = Stage(rows, (created, identity), sort.descending, sieve)
    if sort.metric:
        numbers = metric_deltas.alias()
        value: sa.Column[Any] = numbers.c[sort.field]
        joined = rows.join(numbers, sa.and_(numbers.c.experiment == identity, numbers.c.metric == sort.metric))
        has = sa.select(metric_deltas.c.experiment).where(metric_deltas.c.metric == sort.metric, metric_deltas.c[sort.field].is_not(None))
        return [
            Stage(joined.where(value.is_not(None)), (value, numbers.c.experiment), sort.descending, sieve),
            replace(others, rows=rows.where(identity.not_in(has))),
        ]
    column = _COLUMNS[sort.field]
    if column is identity:
        return [Stage(rows, (identity,), sort.descending, sieve)]
    order = (column, created, identity) if column.name in _BY_TIME else (column, identity)
    if not column.nullable:
        return [Stage(rows, order, sort.descending, sieve)]
    return [
        Stage(rows.where(column.is_not(None)), order, sort.descending, sieve),
        replace(others, rows=rows.where(column.is_(None))),
    ]


_BETWEEN = "\n"


def _joined(texts: sa.ColumnElement[str], more: sa.ColumnElement[str]) -> sa.ColumnElement[str]:
    return texts + _BETWEEN + more


def _number(column: sa.Column[Any], value: float) -> sa.BindParameter[Any]:
    # An index on whole numbers answers for whole numbers only.
    if isinstance(column.type, sa.Integer) and value.is_integer() and abs(value) < 2**31:
        return sa.literal(int(value), sa.Integer())
    return sa.literal(value, sa.Double())


def _time(value: datetime) -> sa.BindParameter[datetime]:
    return sa.literal(value, Time())


def _escaped(text: str) -> str:
    return reduce(lambda done, special: done.replace(special, "!" + special), "!%_", text)


def _lower(text: str) -> str:
    # As SQLite does it, and PostgreSQL in the collation C.
    return "".join(c.lower() if c.isascii() else c for c in text)


def _fits(word: str, pattern: Pattern) -> bool:
    first, *inner, last = (part.upper() for part in pattern.parts)
    if len(first) + len(last) > len(word) or not word.startswith(first) or not word.endswith(last):
        return False
    at = len(first)
    for part in inner:
        at = word.find(part, at, len(word) - len(last)) + len(part)
        if at < len(part):
            return False
    return True
