"""Queries: what can be asked of experiments, as values. `query_parser` reads them from text, ``str`` writes them as text again.

The language: terms that stand side by side must all hold; ``OR`` and parentheses, ``-`` or ``NOT`` for the opposite; ``field:value`` with
``*`` for anything and commas for any of several; comparisons of numbers, times and durations; free words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import TypeAlias

from wichtel.domain.errors import InvalidInput, did_you_mean
from wichtel.domain.states import ExperimentState, ExperimentStatus


class FieldKind(StrEnum):
    """What the values of a field are."""

    #: Matched exactly, or by a pattern.
    NAME = "name"
    #: One of a few words, whatever its case.
    WORD = "word"
    #: Sentences: a value is a part of them.
    TEXT = "text"
    TIME = "time"
    NUMBER = "number"
    #: In seconds.
    DURATION = "duration"

    @property
    def ordered(self) -> bool:
        """Whether ``<`` and ``>`` go with it."""
        return self in (FieldKind.TIME, FieldKind.NUMBER, FieldKind.DURATION)


@dataclass(frozen=True, slots=True)
class Field:
    """Something of experiments that can be asked for."""

    name: str
    kind: FieldKind
    help: str
    #: Of a WORD: all there are.
    words: tuple[str, ...] = ()
    #: Whether a metric's name follows, as in ``delta.auc``.
    of_metric: bool = False


_ALL = (
    Field("id", FieldKind.NAME, "the experiment's id"),
    Field("registration", FieldKind.NAME, "the id of its registration"),
    Field("model", FieldKind.NAME, "the model's name"),
    Field("target", FieldKind.NAME, "the version that it starts from"),
    Field("protocol", FieldKind.NAME, "the protocol's name"),
    Field("intent", FieldKind.NAME, "the intent's name"),
    Field("owner", FieldKind.NAME, "who registered it"),
    Field("team", FieldKind.NAME, "the quota group whose share it takes"),
    Field("state", FieldKind.WORD, "where it stands", tuple(ExperimentState)),
    Field("status", FieldKind.WORD, "how it ended", tuple(ExperimentStatus)),
    Field("cause", FieldKind.TEXT, "why it ended so, in words"),
    Field("created", FieldKind.TIME, "when it was registered"),
    Field("started", FieldKind.TIME, "when it was started last"),
    Field("finished", FieldKind.TIME, "when it ended"),
    Field("duration", FieldKind.DURATION, "from its start to its end"),
    Field("priority", FieldKind.NUMBER, "its priority"),
    Field("models_trained", FieldKind.NUMBER, "trainings that it asked for"),
    Field("delta", FieldKind.NUMBER, "candidate minus baseline", of_metric=True),
    Field("relative", FieldKind.NUMBER, "the same divided by the baseline", of_metric=True),
    Field("low", FieldKind.NUMBER, "lower end of the delta's interval", of_metric=True),
    Field("high", FieldKind.NUMBER, "upper end of the delta's interval", of_metric=True),
    Field("baseline", FieldKind.NUMBER, "the baseline's value", of_metric=True),
    Field("candidate", FieldKind.NUMBER, "the candidate's value", of_metric=True),
)

#: By name.
FIELDS: Mapping[str, Field] = MappingProxyType({field.name: field for field in _ALL})
#: Other names → the field's.
ALIASES: Mapping[str, str] = MappingProxyType({"quota_group": "team"})
#: What free words are looked for in.
TEXT_FIELDS = ("id", "model", "protocol", "owner", "intent", "cause")


# Values


@dataclass(frozen=True, slots=True)
class Pattern:
    """Text with ``*`` between its parts; a single part is matched exactly, with more the case of ASCII letters does not matter."""

    parts: tuple[str, ...]

    @property
    def exact(self) -> str | None:
        """The text that it stands for, if it is no pattern."""
        return self.parts[0] if len(self.parts) == 1 else None

    @property
    def anything(self) -> bool:
        """Whether it is ``*``: that there is a value."""
        return len(self.parts) > 1 and not any(self.parts)

    def __str__(self) -> str:
        return self.text(BARE_VALUE) or '""'

    def text(self, bare: re.Pattern[str]) -> str:
        """As it is written; parts that are not `bare` get quotes."""
        return "*".join(part if not part or bare.fullmatch(part) else _quoted(part) for part in self.parts)


#: Characters of a value, of a free word and of a metric that need no quotes.
BARE_VALUE = re.compile(r'[^\s"(),<>=*]+')
_BARE_WORD = re.compile(r'[^\s"():<>=*-][^\s"():<>=*]*')
_DAYS = {"today": 0, "yesterday": 1}
_UNITS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_AMOUNT = re.compile(r"((?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?)(s|min|m|h|d|w)?", re.ASCII)
_DATE = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?", re.ASCII)
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:?\d\d)?", re.ASCII)
#: Nothing of ours is older than this many seconds; further back a date might not exist.
_MOST_SECONDS = 100 * 366 * 86_400.0
_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Moment:
    """A time as it is written: ``2026``, ``2026-10``, ``2026-10-01``, ``2026-10-01T12:30Z``, ``-7d``, ``today``, ``yesterday``.

    It is as long as it is precise: a day is all of that day. UTC unless an offset says otherwise.

    Raises:
        ValueError: it is none of these.
    """

    text: str

    def __post_init__(self) -> None:
        self.span(datetime(2000, 1, 1, tzinfo=UTC))

    @property
    def relative(self) -> bool:
        """Whether it is so long ago, such as ``-7d``."""
        return self.text.startswith("-")

    @property
    def lasting(self) -> bool:
        """Whether it means the same whenever it is asked."""
        return not self.relative and self.text not in _DAYS

    def span(self, now: datetime) -> tuple[datetime, datetime]:
        """Its first moment, and the first after it."""
        if self.relative:
            ago = now - timedelta(seconds=seconds_of(self.text[1:]))
            return ago, ago + _INSTANT
        if self.text in _DAYS:
            day = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=_DAYS[self.text])
            return day, day + timedelta(days=1)
        if found := _DATE.fullmatch(self.text):
            return _date_span(*(int(part) if part else None for part in found.groups()))
        if not (stamp := _STAMP.fullmatch(self.text)):
            raise ValueError(self.text)
        begin = datetime.fromisoformat(self.text)
        _check_year(begin.year)
        begin = begin.replace(tzinfo=UTC) if begin.tzinfo is None else begin.astimezone(UTC)
        return begin, begin + (_INSTANT if stamp[2] else timedelta(seconds=1) if stamp[1] else timedelta(minutes=1))

    def __str__(self) -> str:
        return self.text


def _date_span(year: int | None, month: int | None, day: int | None) -> tuple[datetime, datetime]:
    assert year is not None
    _check_year(year)
    begin = datetime(year, month or 1, day or 1, tzinfo=UTC)
    if day:
        return begin, begin + timedelta(days=1)
    if month:
        return begin, datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
    return begin, datetime(year + 1, 1, 1, tzinfo=UTC)


def _check_year(year: int) -> None:
    # Away from the ends of the calendar, so that nothing is before or after it.
    if not 1900 <= year <= 9000:
        raise ValueError(f"the year {year}")


def seconds_of(text: str) -> float:
    """A duration such as ``90``, ``1.5h``, ``30min``, ``2d``, ``1w``, in seconds.

    Raises:
        ValueError: it is none, or more than a hundred years.

    >>> seconds_of("1.5h")
    5400.0
    """
    found = _AMOUNT.fullmatch(text)
    if found is None:
        raise ValueError(text)
    seconds = float(found[1]) * _UNITS[found[2] or "s"]
    if seconds > _MOST_SECONDS:
        raise ValueError(text)
    return seconds


Value: TypeAlias = Pattern | Moment | float


# Terms


@dataclass(frozen=True, slots=True)
class Word:
    """Free words: somewhere in one of `TEXT_FIELDS`, whatever the case."""

    pattern: Pattern

    def __str__(self) -> str:
        text = self.pattern.text(_BARE_WORD)
        return _quoted(text) if not text or text in KEYWORDS else text


@dataclass(frozen=True, slots=True)
class Match:
    """A field has one of these values; `Pattern.anything` is that it has any. Numbers are finite."""

    field: str
    values: tuple[Value, ...]
    metric: str = ""

    def __str__(self) -> str:
        return f"{field_text(self.field, self.metric)}:{','.join(map(_value_text, self.values))}"


@dataclass(frozen=True, slots=True)
class Compare:
    """A field is more or less than a value; false if it has none."""

    field: str
    #: ``<``, ``<=``, ``>`` or ``>=``.
    operator: str
    value: Moment | float
    metric: str = ""

    def __str__(self) -> str:
        return f"{field_text(self.field, self.metric)}{self.operator}{_value_text(self.value)}"


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite of a term that is no `Not` itself."""

    term: Word | Match | Compare | And | Or

    def __str__(self) -> str:
        return f"-({self.term})" if isinstance(self.term, And | Or) else f"-{self.term}"


@dataclass(frozen=True, slots=True)
class And:
    """All terms hold, of which none is an `And`; with none, whatever there is."""

    terms: tuple[Query, ...] = ()

    def __str__(self) -> str:
        return " ".join(f"({term})" if isinstance(term, Or) else str(term) for term in self.terms)


@dataclass(frozen=True, slots=True)
class Or:
    """One of several terms holds, of which none is an `Or`."""

    terms: tuple[Query, ...]

    def __str__(self) -> str:
        return " OR ".join(map(str, self.terms))


Query: TypeAlias = Word | Match | Compare | Not | And | Or

#: Words that mean something in capitals; quotes make them free words.
KEYWORDS = frozenset({"OR", "AND", "NOT"})


def all_of(*queries: Query | None) -> Query:
    """All of these hold; None does not matter."""
    terms: list[Query] = []
    for query in queries:
        if query is not None:
            terms += query.terms if isinstance(query, And) else (query,)
    return terms[0] if len(terms) == 1 else And(tuple(terms))


def equals(field: str, value: str) -> Match:
    """`field` is exactly `value`, whatever characters this has."""
    return Match(field, (Pattern((value,)),))


def contains(field: str, value: str) -> Match:
    """`field` has `value` somewhere, whatever the case."""
    return Match(field, (Pattern(("", value, "")),))


def compares(field: str, operator: str, time: datetime) -> Compare:
    """`field` is before or after `time`, which is aware."""
    return Compare(field, operator, Moment(time.astimezone(UTC).isoformat(timespec="microseconds")))


def field_text(field: str, metric: str) -> str:
    """A field's name as it is written."""
    if not metric:
        return field
    return f"{field}.{metric if _BARE_METRIC.fullmatch(metric) else _quoted(metric)}"


_BARE_METRIC = re.compile(r'[^\s"():<>=,*]+')


def _value_text(value: Value) -> str:
    return repr(value) if isinstance(value, float) else str(value)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


# Order


@dataclass(frozen=True, slots=True)
class Sort:
    """By which field answers come; those that have no value come last."""

    field: str = "created"
    descending: bool = True
    metric: str = ""

    @classmethod
    def read(cls, text: str) -> Sort:
        """From ``-created``, ``duration``, ``-delta.auc``; the minus is for the largest first.

        Raises:
            InvalidInput: there is no such field, or it has no order.
        """
        name = text.removeprefix("-")
        field, dot, metric = name.partition(".")
        field = ALIASES.get(field, field)
        known = FIELDS.get(field)
        if known is None or known.of_metric != bool(metric) or bool(dot) != bool(metric) or known.kind is FieldKind.TEXT or "\0" in metric:
            names = [f.name + (".METRIC" if f.of_metric else "") for f in FIELDS.values() if f.kind is not FieldKind.TEXT]
            raise InvalidInput(f"there is no order by {name!r}.", where="sort", hint=did_you_mean(name, names))
        return cls(field, text.startswith("-"), metric)

    def __str__(self) -> str:
        return f"{'-' if self.descending else ''}{self.field}{'.' if self.metric else ''}{self.metric}"
